/** Tells a person that the connection is lost, when it will be tried again, and that it is back. */

import { noticeOf } from "../notice.ts";
import { byId, setText } from "./dom.ts";
import type { Render } from "./part.ts";

/** The strip above the messages. */
export function createBanner(): Render {
  const banner = byId("banner", HTMLElement);
  const text = byId("banner-text", HTMLElement);
  const countdown = byId("banner-countdown", HTMLElement);

  return ({ link, now }) => {
    const notice = noticeOf(link, now);
    banner.setAttribute("data-tone", notice?.tone ?? "none");
    setText(text, notice?.text ?? "");
    setText(countdown, notice?.countdown ?? "");
  };
}
