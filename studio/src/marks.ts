// Moments for measurements, as User Timing: the browser's own tools and `anymask bench studio` read them.

/**
 * `photo`: on the screen, its masks too. `drawn`: nothing is left to draw. `kept`, `saved`: an action, here and with the server.
 * `decoder`: the one in the browser is ready for a photo, or will not be; `decoded`: it gave a preview.
 */
export type Moment =
  | "photo" | "preview" | "look" | "refined" | "drawn" | "kept" | "saved" | "decoder" | "decoder-failed" | "decoded";

/** Only the last one of a name stays, so that a day of work does not fill the browser's list. */
export function mark(moment: Moment, detail?: number | string): void {
  const name = `anymask:${moment}`;
  performance.clearMarks(name);
  performance.mark(name, { detail });
}
