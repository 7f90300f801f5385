// Keys as a person sees them, with what that person changed.

import { prefs } from "../state/prefs.svelte";
import { type NamedAct, keysOf, signsOf } from "./acts";

/** What is written on the keys of an act, one list for each chord. */
export function signs(act: NamedAct): string[][] {
  return keysOf(act, prefs.keys).map(signsOf);
}

/** A name with its key, for the small words that appear over a button. */
export function withKey(name: string, act: NamedAct): string {
  const [first] = signs(act);
  return first ? `${name}  ${first.join("+")}` : name;
}
