/** Brings the children of a list in line with items, touching only what changed. */

/** How one kind of list shows its items. */
export interface Rows<T> {
  key(item: T): string;
  create(item: T): HTMLElement;
  /** Called for new rows too, after `create`. */
  update(row: HTMLElement, item: T): void;
  /** Whether two items with one key look the same; without it, only the same item does. */
  isSame?(a: T, b: T): boolean;
}

/** A function that shows items in `list`, which must hold nothing else. */
export function renderList<T>(list: HTMLElement, rows: Rows<T>): (items: readonly T[]) => void {
  const { isSame = Object.is } = rows;
  let known = new Map<string, { row: HTMLElement; item: T }>();

  function rowOf(item: T, key: string): HTMLElement {
    const before = known.get(key);
    if (before !== undefined && isSame(before.item, item)) {
      return before.row;
    }
    const row = before?.row ?? rows.create(item);
    rows.update(row, item);
    return row;
  }

  return (items) => {
    const next = new Map<string, { row: HTMLElement; item: T }>();
    for (const item of items) {
      const key = rows.key(item);
      next.set(key, { row: rowOf(item, key), item });
    }
    for (const [key, { row }] of known) {
      if (!next.has(key)) {
        row.remove();
      }
    }
    place(list, next.values());
    known = next;
  };
}

function place(list: HTMLElement, rows: Iterable<{ row: HTMLElement }>): void {
  let at = list.firstElementChild;
  for (const { row } of rows) {
    if (row === at) {
      at = at.nextElementSibling;
    } else {
      list.insertBefore(row, at);
    }
  }
}
