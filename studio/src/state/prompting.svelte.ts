// One prompt being made: clicks and a box go out, candidates come back in three steps, one of them is chosen.

import { ApiError, lines } from "../api/client";
import type { Answer, Candidate, Prompt } from "../api/types";
import type { Mark } from "../canvas/live";
import type { Point } from "../masks/bits";
import { type Box, type Mask, maskFromCounts } from "../masks/rle";
import { rleOf } from "./document";

export interface Shown {
  readonly id: string;
  readonly mask: Mask;
  readonly probability: number;
  /** Drawn to the end. What is accepted always is. */
  readonly final: boolean;
}

interface Turn {
  readonly marks: readonly Mark[];
  readonly box: Box | null;
  readonly drawn: Mask | null;
  /** What of a large photo was on the screen. */
  readonly view: Box | null;
  /** The candidate that this turn corrects. */
  readonly previous: Shown | null;
}

const EMPTY: Turn = { marks: [], box: null, drawn: null, view: null, previous: null };

export interface Prompted {
  readonly shown: Shown;
  readonly prompts: readonly Prompt[];
  readonly offered: readonly string[];
  readonly model: string;
}

export class Prompting {
  candidates = $state.raw<readonly Shown[]>([]);
  chosen = $state(0);
  busy = $state(false);
  /** The last question got no answer: it can be asked again. */
  stuck = $state(false);
  turn = $state.raw<Turn>(EMPTY);
  /** Told when a prompt went wrong, with words for people. */
  failed: (error: ApiError) => void = () => {};
  changed: () => void = () => {};

  private turns: Turn[] = [];
  private sent: Prompt[] = [];
  private model = "";
  private running: AbortController | null = null;
  private settling: Promise<void> = Promise.resolve();
  private static seq = 0;

  constructor(
    private readonly image: { id: number; width: number; height: number },
    private readonly client: string,
    private readonly seen: () => Box | null = () => null,
  ) {}

  get live(): boolean {
    return this.turn !== EMPTY;
  }

  get current(): Shown | null {
    return this.candidates[this.chosen] ?? null;
  }

  click(at: Point, label: 0 | 1): void {
    this.next({ ...this.turn, marks: [...this.turn.marks, { at, label }], previous: this.current });
  }

  drag(box: Box): void {
    this.next({ ...this.turn, box, previous: null });
  }

  /** A drawn mask is shown to the model: what follows corrects it. */
  drawn(mask: Mask): void {
    this.next({ ...this.turn, drawn: mask, previous: null });
  }

  /** Takes the last click or box back. */
  back(): void {
    const before = this.turns.pop();
    if (!before || before === EMPTY) return this.cancel();
    this.turn = before;
    this.sent.pop();
    void this.ask();
  }

  choose(index: number): void {
    if (!this.candidates.length) return;
    this.chosen = (index + this.candidates.length) % this.candidates.length;
    this.changed();
  }

  cancel(): void {
    this.running?.abort();
    this.running = null;
    this.turns = [];
    this.sent = [];
    this.turn = EMPTY;
    this.candidates = [];
    this.chosen = 0;
    this.busy = false;
    this.stuck = false;
    this.changed();
  }

  /** Asks again what got no answer. */
  retry(): void {
    if (!this.stuck) return;
    this.sent.pop();
    void this.ask();
  }

  /** The chosen candidate once it is drawn to the end, or null when there is none. */
  async accepted(): Promise<Prompted | null> {
    while (this.live && this.busy && !this.current?.final) await Promise.race([this.settling, nextFrame()]);
    const shown = this.current;
    if (!shown?.final || shown.mask.area === 0) return null;
    return { shown, prompts: this.stuck ? this.sent.slice(0, -1) : this.sent, offered: this.candidates.map((one) => one.id), model: this.model };
  }

  private next(turn: Turn): void {
    this.turns.push(this.turn);
    this.turn = { ...turn, view: this.seen() };
    void this.ask();
  }

  private async ask(): Promise<void> {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.busy = true;
    this.stuck = false;
    this.changed();
    let done: () => void = () => {};
    this.settling = new Promise((resolve) => (done = resolve));
    try {
      await this.stream(promptOf(this.turn), running);
    } catch (error) {
      if (running.signal.aborted || !(error instanceof ApiError)) return;
      if (error.code === "gone" && this.turn.previous) return void (await this.again(running));
      this.fail(error);
    } finally {
      done();
      if (this.running === running) {
        this.busy = false;
        this.dropQuick();
        this.changed();
      }
    }
  }

  /** An answer that ended with the best one alone: the quick looks beside it cannot be kept. */
  private dropQuick(): void {
    const final = this.candidates.filter((one) => one.final);
    if (!final.length || final.length === this.candidates.length) return;
    this.chosen = Math.max(0, final.indexOf(this.current!));
    this.candidates = final;
  }

  /** The server forgot the candidate: its pixels are sent instead. */
  private async again(running: AbortController): Promise<void> {
    const { previous, ...rest } = promptOf(this.turn);
    void previous;
    try {
      await this.stream({ ...rest, mask: rleOf(this.turn.previous!.mask) }, running);
    } catch (error) {
      if (error instanceof ApiError && !running.signal.aborted) this.fail(error);
    }
  }

  private fail(error: ApiError): void {
    this.stuck = true;
    this.failed(error);
  }

  private async stream(prompt: Prompt, running: AbortController): Promise<void> {
    this.sent.push(prompt);
    const seq = ++Prompting.seq;
    const body = { client: this.client, seq, prompt, steps: ["look", "best", "alternatives"] };
    for await (const answer of lines<Answer>(`/images/${this.image.id}/prompt`, body, running.signal)) {
      if (running.signal.aborted || answer.step === "superseded") return;
      if (answer.step === "error") throw new ApiError(500, answer.error);
      this.take(answer);
    }
  }

  private take(answer: Extract<Answer, { candidates: unknown }>): void {
    this.model = answer.model;
    const shown = answer.candidates.map((one) => this.shownOf(one, answer.final));
    if (answer.step === "look") {
      this.candidates = shown;
      this.chosen = 0;
    } else if (answer.step === "best" && this.candidates.length > 1) {
      this.candidates = [shown[0]!, ...this.candidates.filter((one) => !one.final).slice(1)];
    } else {
      const id = this.current?.id;
      const kept = shown.findIndex((one) => one.id === id);
      this.chosen = kept >= 0 ? kept : Math.min(this.chosen, Math.max(0, shown.length - 1));
      this.candidates = shown;
    }
    this.changed();
  }

  private shownOf(one: Candidate, final: boolean): Shown {
    const mask = maskFromCounts(one.rle.counts, this.image.width, this.image.height);
    return { id: one.id, mask, probability: one.probability, final };
  }
}

/** Hundredths of a pixel: the noise of zooming would else decide which pixels a box reaches. */
export function tidy(value: number): number {
  return Math.round(value * 100) / 100;
}

export function sides({ x0, y0, x1, y1 }: Box): readonly [number, number, number, number] {
  return [tidy(x0), tidy(y0), tidy(x1), tidy(y1)];
}

function promptOf(turn: Turn): Prompt {
  return {
    ...(turn.marks.length
      ? { points: turn.marks.map(({ at }) => [tidy(at.x), tidy(at.y)] as const), labels: turn.marks.map(({ label }) => label) }
      : {}),
    ...(turn.box ? { box: sides(turn.box) } : {}),
    ...(turn.view ? { view: sides(turn.view) } : {}),
    ...(turn.previous ? { previous: turn.previous.id } : turn.drawn ? { mask: rleOf(turn.drawn) } : {}),
  };
}

function nextFrame(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 30));
}
