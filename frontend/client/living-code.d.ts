// The types of the living code's module. Browsers never load this file.

import type { Problem, Ticket } from './types.js'

/** Draws the living code of a ticket in place of the hub's image. An ordinary ticket keeps the image. */
export class LivingCode {
  /**
   * A canvas is shown in the place of `img`. `onFrame` gets each frame, for `launchUrl` (`withFrame`). `onError` is
   * called if the code cannot be drawn: pass the error to `fail` of the login. Without it the error is thrown.
   */
  constructor(img: HTMLImageElement, onFrame?: (frame: string) => void, onError?: (error: Problem) => void)
  /** Call it several times a second, and when the page becomes visible. */
  update(ticket: Ticket | undefined, remaining: number): void
}

/** The link that the code holds now, for a page that draws the code itself. */
export function livingURL(ticket: Ticket, remaining: number): Promise<string>

/** Replaces `{frame}` in a link. */
export function withFrame(link: string | undefined, frame?: string): string | undefined
