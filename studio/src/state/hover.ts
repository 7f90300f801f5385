// The preview under the pointer: at most one question on its way, and the newest place is asked next.

import { send } from "../api/client";
import type { Preview } from "../canvas/preview";
import type { Point } from "../masks/bits";
import type { Box } from "../masks/rle";
import { sides, tidy } from "./prompting.svelte";

export class Hover {
  private wanted: Point | null = null;
  private busy = false;
  private seq = 0;
  private static last = 0; // over all photos: the server answers the newest question of a page
  private closed = false;

  constructor(
    private readonly image: number,
    private readonly client: string,
    private readonly seen: () => Box | null,
    private readonly show: (preview: Preview | null) => void,
    private readonly waiting: (notReady: boolean) => void,
  ) {}

  at(point: Point): void {
    this.wanted = point;
    void this.ask();
  }

  leave(): void {
    this.wanted = null;
    this.seq = ++Hover.last;
    this.show(null);
  }

  close(): void {
    this.closed = true;
    this.wanted = null;
  }

  private async ask(): Promise<void> {
    if (this.busy || !this.wanted || this.closed) return;
    const { x, y } = this.wanted;
    const seq = (this.seq = ++Hover.last);
    this.wanted = null;
    this.busy = true;
    try {
      const view = this.seen();
      const prompt = { points: [[tidy(x), tidy(y)]], labels: [1], ...(view ? { view: sides(view) } : {}) };
      const response = await send(`/images/${this.image}/preview`, { body: { client: this.client, seq, prompt } });
      const notReady = response.headers.get("X-Reason") === "not-ready";
      this.waiting(notReady);
      const preview = response.status === 200 ? await this.previewOf(response) : null;
      if (seq === this.seq && !this.closed && preview) this.show(preview);
      if (notReady) {
        await new Promise((resolve) => setTimeout(resolve, 250));
        if (seq === this.seq) this.wanted ??= { x, y }; // still there: asked again
      }
    } catch {
      // A preview is a help, not a promise: the click itself tells what is wrong.
      await new Promise((resolve) => setTimeout(resolve, 500));
    } finally {
      this.busy = false;
    }
    void this.ask();
  }

  private async previewOf(response: Response): Promise<Preview> {
    const values = new Uint8Array(await response.arrayBuffer());
    const [rows, columns] = numbers(response, "X-Inside");
    const [x0, y0, x1, y1] = numbers(response, "X-Shown");
    const probability = response.headers.get("X-Probability");
    return {
      side: Number(response.headers.get("X-Side")),
      inside: [rows!, columns!],
      shown: { x0: x0!, y0: y0!, x1: x1!, y1: y1! },
      values,
      probability: probability === null ? null : Number(probability),
    };
  }
}

function numbers(response: Response, header: string): number[] {
  return response.headers.get(header)!.split(",").map(Number);
}
