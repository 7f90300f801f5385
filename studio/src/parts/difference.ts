// What is said of a thing that two people see differently.

import { t, number, percent } from "../i18n/index.svelte";
import type { Difference } from "../state/comparison";

export function nameOf({ kinds }: Difference, people: readonly [string, string]): string {
  const words = kinds.map((kind) => {
    if (kind === "only_a") return t("agree.only", { name: people[0] });
    return kind === "only_b" ? t("agree.only", { name: people[1] }) : t(`agree.${kind}`);
  });
  return words.join(", ");
}

export function factsOf({ kinds, a, b, iou }: Difference): string {
  const [one, other] = [a?.category ?? null, b?.category ?? null];
  const named = one ?? other;
  const facts = kinds.includes("class") ? [`${one ?? t("class.none")} / ${other ?? t("class.none")}`] : named ? [named] : [];
  facts.push(iou === null ? t("masks.px", { n: number((a ?? b)!.mask.area) }) : t("agree.overlap", { p: percent(iou) }));
  return facts.join(" · ");
}
