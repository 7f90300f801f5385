// A mask that is drawn by hand: strokes of a brush or an eraser, a lasso, corners that are moved. Every stroke can be taken back.

import { BitMask, type Point } from "../masks/bits";
import type { Patch } from "../masks/polygon";
import { type Mask } from "../masks/rle";

export class Drafting {
  /** The mask as it is now, null when nothing is being drawn. */
  mask = $state.raw<Mask | null>(null);
  private bits: BitMask | null = null;
  private before: (Mask | null)[] = [];
  private last: Point | null = null;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {}

  get live(): boolean {
    return this.mask !== null;
  }

  /** Begins with a mask that is there already. */
  begin(mask: Mask | null): void {
    this.bits = mask ? BitMask.of(mask) : new BitMask(this.width, this.height);
    this.mask = mask;
    this.before = [];
  }

  down(at: Point, diameter: number, value: 0 | 1): void {
    if (!this.bits) this.begin(null);
    this.before.push(this.mask);
    this.last = at;
    this.bits!.stamp(at, diameter, value);
    this.mask = this.bits!.toMask();
  }

  move(at: Point, diameter: number, value: 0 | 1): void {
    if (!this.last) return;
    this.bits!.stroke(this.last, at, diameter, value);
    this.last = at;
  }

  /** What was moved since the last time is shown. */
  moved(): void {
    if (this.last) this.mask = this.bits!.toMask();
  }

  up(): void {
    this.last = null;
  }

  fill(corners: readonly Point[], value: 0 | 1): void {
    if (!this.bits) this.begin(null);
    this.before.push(this.mask);
    this.bits!.fill(corners, value);
    this.mask = this.bits!.toMask();
  }

  patch({ box, where, value }: Patch): void {
    if (!this.bits) return;
    this.before.push(this.mask);
    this.bits.paste(box, where, value);
    this.mask = this.bits.toMask();
  }

  /** Takes the last stroke back; false when there is none. */
  back(): boolean {
    const mask = this.before.pop();
    if (mask === undefined) return false;
    const rest = this.before;
    this.begin(mask);
    this.before = rest;
    return true;
  }

  cancel(): void {
    this.bits = null;
    this.mask = null;
    this.before = [];
    this.last = null;
  }
}
