// Everything there is, or every instance of what was said: masks that are offered, to be kept or dropped.

import { ApiError, lines, post } from "../api/client";
import type { EverythingLine, Op, PhotoInfo, WordsAnswer } from "../api/types";
import type { Stage } from "../canvas/stage";
import { t } from "../i18n/index.svelte";
import { type Mask, alike, contains, maskFromCounts } from "../masks/rle";
import { app } from "./app.svelte";
import type { Authorship } from "./authorship.svelte";
import type { Masks } from "./masks.svelte";
import { categoryOf, startOf } from "./named";

const KNOWN = 0.8; // IoU with a mask that is there

export interface Proposal {
  readonly id: string;
  readonly mask: Mask;
  readonly probability: number;
}

export class Finding {
  proposals = $state.raw<readonly Proposal[] | null>(null);
  searching = $state.raw<{ done: number; total: number } | null>(null);
  threshold = $state(0.5);
  /** Where the slider was put; it starts lower where that would show nothing. */
  private wanted = 0.5;
  /** What those found by words are called. */
  private category: string | null = null;
  private model = "";
  private run: AbortController | null = null;

  constructor(
    private readonly image: PhotoInfo,
    private readonly client: string,
    private readonly stage: Stage,
    private readonly masks: Masks,
    private readonly author: Authorship,
  ) {}

  /** Something is looked for, or was found and waits for an answer. */
  get live(): boolean {
    return this.run !== null;
  }

  /** The masks found that the slider leaves. */
  get offered(): readonly Proposal[] {
    return (this.proposals ?? []).filter((one) => one.probability >= this.threshold);
  }

  async everything(): Promise<void> {
    const body = { preset: "default", min_probability: 0.1, box: null };
    await this.search(async (run, client) => {
      const path = `/images/${this.image.id}/everything`;
      for await (const line of lines<EverythingLine>(path, { ...client, ...body }, run.signal)) {
        if (line.step === "progress") this.searching = { done: line.done, total: line.total };
        else if (line.step === "done") this.found(line, null);
        else if (line.step === "error") throw new ApiError(500, line.error);
      }
    });
  }

  /** Every instance of what was said. */
  async words(text: string): Promise<void> {
    await this.search(async (run, client) => {
      const answer = await post<WordsAnswer>(`/images/${this.image.id}/find`, { ...client, text }, { signal: run.signal });
      if (answer.not_understood.length) app.tell(t("words.ignored", { words: answer.not_understood.join(", ") }));
      if (!answer.masks.length) return app.tell(t("words.absent", { words: text }));
      const classes = app.project?.settings.classes ?? [];
      this.found(answer, categoryOf(text, answer.understood[0], classes, this.author.category));
    });
  }

  private async search(ask: (run: AbortController, client: object) => Promise<void>): Promise<void> {
    this.run?.abort();
    const run = (this.run = new AbortController());
    this.searching = { done: 0, total: 0 };
    try {
      await ask(run, { client: this.client, seq: Date.now() % 1e9 });
    } catch (error) {
      if (!run.signal.aborted) app.fail(error);
    } finally {
      this.searching = null;
    }
  }

  private found(line: Pick<WordsAnswer, "model" | "masks">, category: string | null): void {
    this.model = line.model;
    this.category = category;
    const { width, height } = this.image;
    const known = this.masks.items.map((item) => item.mask);
    const fresh = line.masks
      .map((one) => ({ id: one.id, mask: maskFromCounts(one.rle.counts, width, height), probability: one.probability }))
      .filter((one) => !known.some((mask) => alike(mask, one.mask, KNOWN)))
      .sort((a, b) => b.probability - a.probability);
    if (!fresh.length) return app.tell(t(line.masks.length ? "every.known" : "every.none"));
    this.proposals = fresh;
    this.threshold = startOf(this.wanted, fresh);
    this.stage.touchAll();
    app.say(() => t("say.found", { n: fresh.length }));
  }

  setThreshold(value: number): void {
    this.threshold = this.wanted = value;
    this.stage.touchAll();
  }

  at(x: number, y: number): Proposal | undefined {
    return this.offered
      .filter((one) => contains(one.mask, Math.floor(x), Math.floor(y)))
      .sort((a, b) => a.mask.area - b.mask.area)[0];
  }

  maskOf(id: string | null): Mask | undefined {
    return this.proposals?.find((one) => one.id === id)?.mask;
  }

  /** Keeps what is shown; the search is over then. */
  takeAll(): void {
    if (!this.offered.length) return;
    this.take(this.offered);
    this.stop();
  }

  take(proposals: readonly Proposal[]): void {
    if (!proposals.length) return;
    const named = this.category === null ? {} : { category: this.category };
    const operations: Op[] = [];
    const adds = proposals.map((one) => {
      const fresh = this.author.fresh(one.mask, { ...named, probability: one.probability, model: this.model, taken: one.id });
      operations.push({ op: "add", mask: fresh });
      return this.author.item(fresh, one.mask);
    });
    this.reject(proposals);
    this.masks.commit(this.masks.document.add("everything", adds, operations));
    this.masks.count("say.accepted");
  }

  reject(proposals: readonly Proposal[]): void {
    const gone = new Set(proposals.map((one) => one.id));
    this.proposals = (this.proposals ?? []).filter((one) => !gone.has(one.id));
    if (!this.proposals.length) this.proposals = null; // nothing is left to answer
    if (this.masks.hovered && gone.has(this.masks.hovered)) this.masks.hovered = null;
    for (const one of proposals) this.stage.touch(one.mask.box);
    this.masks.showFocus();
  }

  stop(): void {
    this.run?.abort();
    this.run = null;
    this.proposals = null;
    this.searching = null;
    this.masks.hovered = null;
    this.stage.touchAll();
  }

  close(): void {
    this.run?.abort();
  }
}
