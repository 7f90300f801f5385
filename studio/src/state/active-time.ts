// The time somebody works on a mask: gaps between what they do, none counted longer than five seconds.

export const LONGEST_GAP_MS = 5000;

export class ActiveTime {
  private last: number | null = null;
  private mask = 0;
  private photo = 0;

  /** Something was done, at `now` in milliseconds. */
  tick(now: number): void {
    if (this.last !== null) {
      const gap = Math.min(LONGEST_GAP_MS, Math.max(0, now - this.last));
      this.mask += gap;
      this.photo += gap;
    }
    this.last = now;
  }

  /** Seconds since the last mask; begins anew. */
  takeMask(): number {
    const seconds = this.mask / 1000;
    this.mask = 0;
    return Math.round(seconds * 100) / 100;
  }

  takePhoto(): number {
    const seconds = this.photo / 1000;
    this.photo = this.mask = 0;
    this.last = null;
    return Math.round(seconds * 100) / 100;
  }
}
