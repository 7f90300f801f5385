// Words of the page: English is the list, Korean has the same keys (the compiler checks).

import { prefs } from "../state/prefs.svelte";
import { en } from "./en";
import { type Values, fill } from "./fill";
import { ko } from "./ko";

export type Word = keyof typeof en;
export type Words = Readonly<Record<Word, string>>;

const languages: Readonly<Record<string, Words>> = { en, ko };

/** The words for a key, with the gaps filled in. */
export function t(word: Word, values: Values = {}): string {
  return fill((languages[prefs.language] ?? en)[word], values);
}

/** In every language, for those who look for something by its name. */
export function both(word: Word): string {
  return Object.values(languages).map((words) => words[word]).join(" ");
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString(prefs.language, { maximumFractionDigits: digits, minimumFractionDigits: 0 });
}

export function percent(value: number): string {
  return `${Math.round(value * 100)} %`;
}

/** 75 -> "1 min 15 s". */
export function duration(seconds: number): string {
  if (seconds < 60) return t("time.s", { s: number(seconds, seconds < 10 ? 1 : 0) });
  if (seconds < 3600) return t("time.ms", { m: Math.floor(seconds / 60), s: Math.round(seconds % 60) });
  return t("time.hm", { h: Math.floor(seconds / 3600), m: Math.round((seconds % 3600) / 60) });
}
