/**
 * The real react-dom in a document of linkedom. Recipes:
 *
 *     const page = mount(() => { … hooks … return "text"; });  // ends with the test
 *     await page.shows("text");                                // waits until it does
 *     page.set(() => …);                                       // another render of the same component
 *     page.unmount();
 */

import { createRequire } from "node:module";
import { Component, createElement, type ReactNode, StrictMode } from "react";
import { onTestFinished, vi } from "vitest";

// Required, not imported: its declarations do not compile beside TypeScript's own of the DOM.
const { parseHTML } = createRequire(import.meta.url)("linkedom") as {
  parseHTML(text: string): { window: Window; document: Document };
};
const { window, document } = parseHTML("<!doctype html><html><body></body></html>");
Object.assign(globalThis, { window, document });
// By an event React 18 would throw what components throw, and linkedom catches nothing.
Object.assign(document, { createEvent: undefined });
// Node 20 has none.
if (!("navigator" in globalThis)) Object.assign(globalThis, { navigator: { userAgent: "Node" } });

// After there is a document: it looks for one when it is loaded.
const { createRoot } = await import("react-dom/client");

/** What a component shows, in a page. */
export interface Page {
  /** Waits until exactly this is shown. */
  shows(text: string): Promise<void>;
  /** What is shown. */
  text(): string;
  /** What was shown, each once, in order. */
  readonly history: string[];
  /** Renders again, with other hooks' inputs. */
  set(render: () => ReactNode): void;
  unmount(): void;
}

/** Mounts a component, in StrictMode, that ends with the test. @param failed gets what it throws. */
export function mount(render: () => ReactNode, failed: (error: unknown) => void = raise): Page {
  const history: string[] = [];
  const container = document.createElement("div");
  const root = createRoot(container, { onCaughtError() {} });
  let isMounted = true;
  function Shown({ render }: { render: () => ReactNode }): ReactNode {
    const node = render();
    if (typeof node === "string" && history.at(-1) !== node) history.push(node);
    return node;
  }
  const page: Page = {
    history,
    text: () => container.textContent ?? "",
    shows: (text) => vi.waitFor(() => expectText(page.text(), text), { timeout: 20_000 }),
    set: (render) => {
      const component = createElement(Shown, { render });
      root.render(createElement(StrictMode, null, createElement(Boundary, { failed }, component)));
    },
    unmount() {
      if (isMounted) root.unmount();
      isMounted = false;
    },
  };
  page.set(render);
  onTestFinished(() => page.unmount());
  return page;
}

/** Tells what the components below it throw, and shows nothing in their place. */
class Boundary extends Component<{ failed: (error: unknown) => void; children?: ReactNode }> {
  static getDerivedStateFromError(): object {
    return { isOver: true };
  }
  override readonly state = { isOver: false };
  override componentDidCatch(error: unknown): void {
    this.props.failed(error);
  }
  override render(): ReactNode {
    return this.state.isOver ? null : this.props.children;
  }
}

function expectText(is: string, wanted: string): void {
  if (is !== wanted) throw new Error(`shows ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
}

function raise(error: unknown): void {
  throw error;
}
