// The screens of a project, for who may see them.

import type { IconName } from "../parts/Icon.svelte";
import type { Word } from "../i18n/index.svelte";
import type { Screen } from "./app.svelte";

export interface Entry {
  readonly screen: Screen;
  readonly word: Word;
  readonly icon: IconName;
}

interface Who {
  readonly admin: boolean;
  readonly reviewer: boolean;
  readonly session: { readonly mode: "single" | "team" } | null;
}

export function screensFor({ admin, reviewer, session }: Who): Entry[] {
  const all: readonly [Screen, Word, IconName, boolean][] = [
    ["gallery", "nav.gallery", "grid", true],
    ["annotate", "nav.annotate", "click", true],
    ["audit", "nav.audit", "audit", reviewer],
    ["dashboard", "nav.dashboard", "chart", reviewer],
    ["data", "nav.data", "data", admin],
    ["jobs", "nav.jobs", "jobs", admin],
    ["people", "nav.people", "people", admin && session?.mode === "team"],
    ["settings", "nav.settings", "settings", true],
  ];
  return all.filter(([, , , shown]) => shown).map(([screen, word, icon]) => ({ screen, word, icon }));
}
