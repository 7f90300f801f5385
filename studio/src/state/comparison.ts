// What two people drew on one photo, put side by side: what they agree on, and each thing that they see differently.

import { type MaskBytes, get, masksOf } from "../api/client";
import type { Compared, ComparedPhoto, PhotoInfo } from "../api/types";
import { type Box, type Mask, around, contains, maskFromRuns } from "../masks/rle";

export type Kind = "only_a" | "only_b" | "borders" | "class";

/** A mask of one of the two. */
export interface Drawn {
  readonly mask: Mask;
  readonly category: string | null;
}

/** One thing that they see differently; what only one of them has is null for the other. */
export interface Difference {
  readonly key: string;
  readonly kinds: readonly Kind[];
  readonly a: Drawn | null;
  readonly b: Drawn | null;
  readonly iou: number | null;
  readonly box: Box;
}

export interface Comparison {
  readonly told: Compared;
  readonly differences: readonly Difference[];
  /** The same for both, as each drew it. */
  readonly agreed: readonly { readonly a: Mask; readonly b: Mask }[];
}

/** `layers`: null for the first two. */
export async function compare(image: number, layers: readonly [number, number] | null): Promise<Comparison> {
  const told = await get<Compared>(`/images/${image}/agreement${layers ? `?a=${layers[0]}&b=${layers[1]}` : ""}`);
  const revisionOf = (layer: number): number | undefined => told.people.find((one) => one.layer === layer)?.revision;
  const [a, b] = await Promise.all(told.layers.map((layer) => masksOf(image, layer, revisionOf(layer))));
  return sideBySide(told, a!, b!);
}

/** Things that only one has come first, the largest before the others, then borders, the worst first, then classes. */
export function sideBySide(told: Compared, masksA: MaskBytes, masksB: MaskBytes): Comparison {
  const { width, height } = told.image;
  const [ofA, ofB] = [masksA, masksB].map(
    ({ masks }) => new Map(masks.map((one): [string, Drawn] => [one.uid, { mask: maskFromRuns(one.runs, width, height), category: one.category }])),
  ) as [Map<string, Drawn>, Map<string, Drawn>];
  const singles: Difference[] = [];
  const alone = (kind: "only_a" | "only_b", uid: string, one: Drawn | undefined): void => {
    if (!one) return; // handed in anew since: the next look shows it
    singles.push({ key: `${kind}-${uid}`, kinds: [kind], a: kind === "only_a" ? one : null, b: kind === "only_b" ? one : null, iou: null, box: one.mask.box });
  };
  for (const uid of told.only_a) alone("only_a", uid, ofA.get(uid));
  for (const uid of told.only_b) alone("only_b", uid, ofB.get(uid));
  singles.sort((one, other) => areaOf(other) - areaOf(one));
  const pairs: Difference[] = [];
  const agreed: { a: Mask; b: Mask }[] = [];
  for (const pair of told.pairs) {
    const [a, b] = [ofA.get(pair.a), ofB.get(pair.b)];
    if (!a || !b) continue;
    if (pair.differs.length) pairs.push({ key: `${pair.a}-${pair.b}`, kinds: pair.differs, a, b, iou: pair.iou, box: around(a.mask.box, b.mask.box) });
    else agreed.push({ a: a.mask, b: b.mask });
  }
  const rank = ({ kinds }: Difference): number => (kinds.includes("borders") ? 0 : 1);
  pairs.sort((one, other) => rank(one) - rank(other) || one.iou! - other.iou!);
  return { told, differences: [...singles, ...pairs], agreed };
}

function areaOf({ a, b }: Difference): number {
  return Math.max(a?.mask.area ?? 0, b?.mask.area ?? 0);
}

/** The smallest difference under a place of the photo. */
export function differenceAt(differences: readonly Difference[], x: number, y: number): Difference | undefined {
  const under = differences.filter(({ a, b }) => [a, b].some((one) => one && contains(one.mask, Math.floor(x), Math.floor(y))));
  return under.sort((one, other) => areaOf(one) - areaOf(other))[0];
}

/** What stands behind #/agreement/. */
export function routeOf({ image, layers }: Pick<ComparedPhoto, "layers"> & { image: Pick<PhotoInfo, "id"> }): string {
  return `${image.id}-${layers.join("-")}`;
}

/** Photo and layers of `12-0-1`, or of `12` alone. */
export function readRoute(route: string): { image: number; layers: [number, number] | null } {
  const [image, a, b] = route.split("-").map(Number);
  return { image: image!, layers: a === undefined || b === undefined ? null : [a, b] };
}
