// What a person prefers, kept in this browser.

import { type Bindings, checkedBindings } from "../keys/acts";

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "ko";

interface Kept {
  theme: Theme;
  language: Language;
  opacity: number;
  brush: number;
  outlines: boolean;
  panel: boolean;
  keys: Bindings;
}

const NAME = "anymask-studio";

function read(): Kept {
  const language: Language = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
  const fresh: Kept = { theme: "system", language, opacity: 0.55, brush: 24, outlines: false, panel: window.innerWidth > 1000, keys: {} };
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Kept>;
    const panel = (kept.panel ?? fresh.panel) && window.innerWidth > 760; // on a narrow screen it lies over the tools
    return { ...fresh, ...kept, panel, keys: checkedBindings(kept.keys) };
  } catch {
    return fresh;
  }
}

export const prefs: Kept = $state(read());

/** Keeps them and tells the page; to be called within a component. */
export function followPrefs(): void {
  $effect(() => {
    const kept = JSON.stringify(prefs);
    try {
      localStorage.setItem(NAME, kept);
    } catch {
      // Private windows may refuse: then they last as long as the page.
    }
    const root = document.documentElement;
    root.lang = prefs.language;
    if (prefs.theme === "system") root.removeAttribute("data-theme");
    else root.dataset.theme = prefs.theme;
  });
}
