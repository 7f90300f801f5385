// Whose masks those are that are made now: what is written on each before it goes to the server.

import { newUid } from "../api/client";
import type { NewMask } from "../api/types";
import type { Mask } from "../masks/rle";
import { ActiveTime } from "./active-time";
import { app } from "./app.svelte";
import { type Item, itemOf, rleOf } from "./document";

export class Authorship {
  /** The class that the next mask gets. */
  category = $state<string | null>(null);
  /** A photo that a model has already put masks on. */
  semi = false;
  readonly time = new ActiveTime();

  get stage(): "manual" | "semi" {
    return this.semi ? "semi" : "manual";
  }

  fresh(mask: Mask, more: Partial<NewMask> = {}): NewMask {
    return {
      uid: newUid(),
      rle: rleOf(mask),
      category: this.category,
      stage: this.stage,
      seconds: this.time.takeMask(),
      ...more,
    };
  }

  item(fresh: NewMask, mask: Mask, edited: Item | null = null): Item {
    return itemOf(fresh, mask, this.stage, app.session?.user?.name ?? "", edited);
  }
}
