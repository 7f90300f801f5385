// The preview under the pointer: at most one question on its way, and the newest place is asked next.

import type { Preview } from "../canvas/preview";
import { type Look, NearestLook } from "../decoder/look";
import type { Point } from "../masks/bits";
import type { Box } from "../masks/rle";
import { tidy } from "./prompting.svelte";

export class Hover {
  private wanted: Point | null = null;
  private busy = false;
  private turn = 0;
  private closed = false;
  private readonly look: Look;

  constructor(
    image: number,
    client: string,
    private readonly seen: () => Box | null,
    private readonly show: (preview: Preview | null) => void,
    private readonly waiting: (notReady: boolean) => void,
  ) {
    this.look = new NearestLook(image, client);
  }

  at(point: Point): void {
    this.wanted = point;
    void this.ask();
  }

  leave(): void {
    this.wanted = null;
    this.turn++;
    this.show(null);
  }

  close(): void {
    this.closed = true;
    this.wanted = null;
  }

  private async ask(): Promise<void> {
    if (this.busy || !this.wanted || this.closed) return;
    const point = this.wanted;
    const turn = ++this.turn;
    this.wanted = null;
    this.busy = true;
    try {
      const found = await this.look.at({ x: tidy(point.x), y: tidy(point.y) }, this.seen());
      const notReady = found === "not-ready";
      this.waiting(notReady);
      if (found && !notReady && turn === this.turn && !this.closed) this.show(found);
      if (notReady) {
        await new Promise((resolve) => setTimeout(resolve, 250));
        if (turn === this.turn) this.wanted ??= point; // still there: asked again
      }
    } catch {
      // A preview is a help, not a promise: the click itself tells what is wrong.
      await new Promise((resolve) => setTimeout(resolve, 500));
    } finally {
      this.busy = false;
    }
    void this.ask();
  }
}
