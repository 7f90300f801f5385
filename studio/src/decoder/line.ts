// Whether previews travel so long that decoding them here is sooner. A server that is busy is not a slow line: on one
// machine both would wait for the same processor.

const RUNS = 5; // the median of the last so many decides
const SLOW_MS = 250;

export class Line {
  private readonly whole: number[] = [];
  private readonly travel: number[] = [];
  private readonly here: number[] = [];

  /** The server answered; `serverMs` of it were its own work. */
  answered(wholeMs: number, serverMs: number): void {
    keep(this.whole, wholeMs);
    keep(this.travel, wholeMs - serverMs);
  }

  decoded(ms: number): void {
    keep(this.here, ms);
  }

  get isSlow(): boolean {
    return this.travel.length === RUNS && median(this.travel) > SLOW_MS;
  }

  /** As far as is known: the first answers here are given in trust. */
  get isHereSooner(): boolean {
    return this.isSlow && (this.here.length < RUNS || median(this.here) < median(this.whole));
  }
}

function keep(times: number[], ms: number): void {
  times.push(ms);
  if (times.length > RUNS) times.shift();
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1]!;
}
