// The right to change a photo, and the way of changes to the server. Without a lease a photo is only looked at.

import { ApiError, post } from "../api/client";
import type { Holder, Lease, Op, PhotoInfo, Work } from "../api/types";
import { t } from "../i18n/index.svelte";
import { app } from "./app.svelte";

const RENEW_MS = 60_000;

export class Holding {
  lease = $state.raw<Lease | null>(null);
  readOnly = $state(false);
  /** Who has what is only looked at. */
  holder = $state.raw<Holder | null>(null);
  private renewal: ReturnType<typeof setInterval> | undefined;

  constructor(readonly image: PhotoInfo) {}

  take(work: Work | null): void {
    this.lease = work?.lease ?? null;
    this.readOnly = work === null;
  }

  /** Somebody else's work, to be accepted or sent back. */
  get reviewing(): boolean {
    return this.lease?.kind === "review";
  }

  get layer(): number {
    return this.lease?.layer ?? 0;
  }

  /** Somebody else has it now. */
  lost(error: ApiError): void {
    this.readOnly = true;
    const by = error.fault.detail?.["by"];
    if (typeof by === "string" && by !== app.session?.user?.name) this.holder = { by, kept: false };
  }

  keep(): void {
    if (this.lease) this.renewal = setInterval(() => void this.renew(), RENEW_MS);
  }

  close(): void {
    clearInterval(this.renewal);
  }

  /** True, and told, when nothing may be changed. */
  refuses(): boolean {
    if (this.readOnly) app.tell(t("readonly"));
    return this.readOnly;
  }

  save(operations: readonly Op[]): void {
    const lease = this.lease ? { task: this.lease.task, token: this.lease.token } : null;
    void app.queue.put({ image: this.image.id, layer: this.layer, lease, operations });
  }

  /** Hands the photo in, skips or reviews it; false when the server refuses. */
  async finish(how: "submit" | "skip" | "review", body: object): Promise<boolean> {
    if (!this.lease) return false;
    try {
      await post(`/tasks/${this.lease.task}/${how}`, { token: this.lease.token, ...body });
    } catch (error) {
      app.fail(error);
      return false;
    }
    this.lease = null;
    void app.refreshPhoto(this.image.id);
    return true;
  }

  private async renew(): Promise<void> {
    if (!this.lease) return;
    try {
      this.lease = await post<Lease>(`/tasks/${this.lease.task}/renew`, { token: this.lease.token });
    } catch (error) {
      if (error instanceof ApiError && error.code === "lease_lost") {
        this.lost(error);
        app.tell(t("lease.lost"), "error");
      }
    }
  }
}
