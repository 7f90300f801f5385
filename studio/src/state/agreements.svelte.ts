// The photos that several people annotated, the least agreement first: a page of them, and the way from one to the next.

import { get } from "../api/client";
import type { Agreement, ComparedPhoto } from "../api/types";
import { app } from "./app.svelte";
import { routeOf } from "./comparison";

class Agreements {
  told = $state.raw<Agreement | null>(null);
  photos = $state.raw<readonly ComparedPhoto[]>([]);

  async load(more = false): Promise<void> {
    try {
      const found = await get<Agreement>(`/agreement?limit=50&offset=${more ? (this.told?.next ?? 0) : 0}`);
      this.photos = more ? [...this.photos, ...found.comparisons] : found.comparisons;
      this.told = found;
    } catch (error) {
      app.fail(error);
    }
  }

  /** The one behind a photo of the list. */
  after(route: string): ComparedPhoto | undefined {
    const at = this.photos.findIndex((one) => routeOf(one) === route);
    return at < 0 ? undefined : this.photos[at + 1];
  }

  /** Where one goes on when a photo of the list is corrected: to the next one, or to the list. */
  behind(route: string): string {
    const next = this.after(route);
    return next ? `#/agreement/${routeOf(next)}` : "#/agreement";
  }
}

export const agreements = new Agreements();
