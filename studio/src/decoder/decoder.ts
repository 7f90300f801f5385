// The decoder in the browser as the page sees it: one worker, one photo at a time. Nothing is loaded before `open`.

import type { Preview } from "../canvas/preview";
import { mark } from "../marks";
import type { Point } from "../masks/bits";
import type { Order, Reply } from "./messages";

export interface Decoded {
  readonly preview: Preview;
  readonly ms: number;
}

export class Decoder {
  private worker: Worker | null = null;
  private image: number | null = null;
  private isReady = false;
  private isGivenUp = false;
  private answer: ((decoded: Decoded | null) => void) | null = null;

  /** Gets ready for a photo in the background; once for each. What fails is tried again with the next one. */
  open(image: number): void {
    if (this.isGivenUp || image === this.image) return;
    this.image = image;
    this.isReady = false;
    this.answered(null);
    try {
      this.worker ??= this.start();
      this.tell({ kind: "open", image });
    } catch (error) {
      this.failed(String(error), true); // no workers here
    }
  }

  /** Another model is in use: what is there was of the one before. */
  forget(): void {
    this.image = null;
    this.isReady = false;
    this.answered(null);
  }

  /** null: not ready for that photo, or not in it. One question at a time. */
  async at(image: number, { x, y }: Point): Promise<Decoded | null> {
    if (!this.isReady || image !== this.image) return null;
    return new Promise((resolve) => {
      this.answer = resolve;
      this.tell({ kind: "at", image, x, y });
    });
  }

  private start(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.heard(data);
    worker.onerror = (event) => {
      event.preventDefault(); // a fallback that is missing is no error of the page
      this.failed(event.message, false);
    };
    return worker;
  }

  private tell(order: Order): void {
    this.worker?.postMessage(order);
  }

  private heard(reply: Reply): void {
    if (reply.kind === "seen") return this.answered(reply.preview && { preview: reply.preview, ms: reply.ms });
    if (reply.image !== this.image) return; // of a photo that was left
    if (reply.kind === "failed") return this.failed(reply.why, reply.forGood);
    this.isReady = true;
    mark("decoder", reply.startMs ?? undefined);
  }

  private answered(decoded: Decoded | null): void {
    this.answer?.(decoded);
    this.answer = null;
  }

  private failed(why: string, forGood: boolean): void {
    this.isGivenUp = forGood;
    this.isReady = false;
    this.worker?.terminate();
    this.worker = null;
    this.answered(null);
    mark("decoder-failed", why);
  }
}

/** Of this page, for all photos. */
export const decoder = new Decoder();
