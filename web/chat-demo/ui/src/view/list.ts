/** Brings the children of a list in line with items, touching only what changed. */

/** How one kind of list shows its items. */
export interface Rows<T> {
  key(item: T): string;
  create(item: T): HTMLElement;
  /** Called for new rows too, after `create`. */
  update(row: HTMLElement, item: T): void;
}

/** A function that shows items in `list`, which must hold nothing else. */
export function renderList<T>(list: HTMLElement, rows: Rows<T>): (items: readonly T[]) => void {
  let known = new Map<string, HTMLElement>();

  return (items) => {
    const next = new Map<string, HTMLElement>();
    for (const item of items) {
      const key = rows.key(item);
      const row = known.get(key) ?? rows.create(item);
      rows.update(row, item);
      next.set(key, row);
    }
    for (const [key, row] of known) {
      if (!next.has(key)) {
        row.remove();
      }
    }
    place(list, next.values());
    known = next;
  };
}

function place(list: HTMLElement, rows: Iterable<HTMLElement>): void {
  let at = list.firstElementChild;
  for (const row of rows) {
    if (row === at) {
      at = at.nextElementSibling;
    } else {
      list.insertBefore(row, at);
    }
  }
}
