/** Tells a person that the connection is lost, when it will be tried again, and that it is back. */

import { noticeOf } from "../notice.ts";
import { byId, setText } from "./dom.ts";
import type { Actions, Render } from "./part.ts";

/** The strip above the messages. */
export function createBanner(actions: Pick<Actions, "cut">): Render {
  const banner = byId("banner", HTMLElement);
  const text = byId("banner-text", HTMLElement);
  const countdown = byId("banner-countdown", HTMLElement);
  const mend = byId("banner-mend", HTMLButtonElement);
  mend.addEventListener("click", () => actions.cut(false));

  return (state) => {
    const notice = noticeOf(state);
    banner.setAttribute("data-tone", notice?.tone ?? "none");
    setText(text, notice?.text ?? "");
    setText(countdown, state.cut ? "" : (notice?.countdown ?? ""));
    mend.hidden = !state.cut;
  };
}
