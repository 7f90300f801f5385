// What the server says and is told: the shapes of /api/v1.

export interface Rle {
  readonly size: readonly [number, number];
  readonly counts: string;
}

export type Role = "admin" | "reviewer" | "annotator";
export type Stage = "manual" | "prefilled" | "semi" | "automatic" | "imported";
export type ImageState = "new" | "prefilled" | "annotated" | "skipped" | "automatic";
export type TaskKind = "annotate" | "review" | "audit";

export interface Session {
  readonly mode: "single" | "team";
  readonly user: { readonly name: string; readonly role: Role } | null;
  /** Where to sign in with the provider of single sign-on, if there is one. */
  readonly sso?: string;
}

export interface ClassName {
  readonly name: string;
  readonly color: string;
}

export interface Settings {
  readonly classes: readonly ClassName[];
  readonly min_probability: number;
  /** Of photos that are handed in, the share that waits for a reviewer. */
  readonly review_share: number;
  /** Of photos that are handed in, the share that a second person annotates without seeing the masks. */
  readonly overlap_share: number;
  readonly notes: string;
}

export interface Project {
  readonly name: string;
  readonly version: string;
  readonly mode: "single" | "team";
  readonly model: { readonly id: string | null; readonly name: string; readonly fingerprint: string; readonly words: boolean };
  readonly counts: Readonly<Record<string, number>>;
  /** Second annotations of a photo that are not handed in. */
  readonly second_waiting: number;
  readonly settings: Settings;
  readonly formats: { readonly read: readonly string[]; readonly write: readonly string[] };
  readonly can: { readonly train: boolean };
}

export interface TileLevel {
  readonly scale: number;
  readonly width: number;
  readonly height: number;
}

export interface PhotoInfo {
  readonly id: number;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly state: ImageState;
  readonly fixed: boolean;
  readonly hash: string;
  readonly masks: number;
  readonly revision: number;
  readonly tiles: { readonly size: number; readonly levels: readonly TileLevel[] } | null;
}

export interface MaskFacts {
  readonly uid: string;
  readonly category: string | null;
  readonly author: string;
  readonly stage: Stage;
  readonly round: number;
  readonly model: string | null;
  readonly probability: number | null;
  readonly seconds: number | null;
  readonly parent: string | null;
  /** Its oldest ancestor; none: it is its own. */
  readonly origin: string | null;
  readonly verdict: string | null;
  readonly area: number;
}

export interface StoredMask extends MaskFacts {
  readonly rle: Rle;
}

export interface Lease {
  readonly task: number;
  readonly kind: TaskKind;
  readonly token: number;
  readonly seconds_left: number;
  readonly round: number;
  readonly layer: number;
  readonly note: string | null;
}

export interface Work {
  readonly lease: Lease;
  readonly image: PhotoInfo;
  readonly revision: number;
  readonly stage: "manual" | "semi" | "automatic" | "review";
  readonly masks: readonly StoredMask[] | null;
  readonly embedding: "ready" | "working";
}

/** Somebody else who works on a photo, or for whom it is kept until they take it. */
export interface Holder {
  readonly by: string;
  readonly kept: boolean;
}

export interface Next {
  readonly work: Work | null;
  readonly left: Readonly<Record<TaskKind, number>>;
}

export interface Prompt {
  readonly points?: readonly (readonly [number, number])[];
  readonly labels?: readonly (0 | 1)[];
  readonly box?: readonly [number, number, number, number] | null;
  readonly mask?: Rle | null;
  readonly previous?: string | null;
  readonly text?: string | null;
  /** What of a large photo is on the screen. */
  readonly view?: readonly [number, number, number, number];
}

export interface Candidate {
  readonly id: string;
  readonly rle: Rle;
  readonly area: number;
  readonly probability: number;
  readonly iou: number;
}

export type Answer =
  | {
      readonly step: "look" | "best" | "alternatives";
      readonly seq: number;
      readonly final: boolean;
      readonly candidates: readonly Candidate[];
      readonly model: string;
      readonly ms?: number;
    }
  | { readonly step: "superseded"; readonly seq: number }
  | { readonly step: "error"; readonly error: Fault };

export type EverythingLine =
  | { readonly step: "progress"; readonly done: number; readonly total: number }
  | { readonly step: "done"; readonly model: string; readonly masks: readonly Omit<Candidate, "iou">[] }
  | { readonly step: "superseded"; readonly seq: number }
  | { readonly step: "error"; readonly error: Fault };

export interface WordsAnswer {
  readonly present: boolean;
  readonly presence: number;
  readonly understood: readonly string[];
  readonly not_understood: readonly string[];
  readonly model: string;
  readonly masks: readonly Omit<Candidate, "iou">[];
}

export interface NewMask {
  readonly uid: string;
  readonly rle: Rle;
  readonly category: string | null;
  readonly stage?: "manual" | "semi";
  readonly seconds?: number;
  readonly model?: string | null;
  readonly probability?: number | null;
  readonly prompts?: readonly Prompt[];
  readonly offered?: readonly string[];
  readonly taken?: string | null;
}

export type Op =
  | { readonly op: "add"; readonly mask: NewMask }
  | { readonly op: "replace"; readonly uid: string; readonly mask: NewMask }
  | { readonly op: "delete"; readonly uid: string }
  | { readonly op: "restore"; readonly uid: string; readonly new_uid: string }
  | { readonly op: "label"; readonly uid: string; readonly new_uid: string; readonly category: string | null }
  | { readonly op: "accept"; readonly uid: string; readonly new_uid: string }
  | { readonly op: "merge"; readonly uids: readonly string[]; readonly new_uid: string; readonly category: string | null }
  | { readonly op: "split"; readonly uid: string; readonly new_uids: readonly string[]; readonly parts: readonly Rle[] | null };

export interface Saved {
  readonly revision: number;
  readonly masks: number;
  readonly repeated: boolean;
}

export interface Fault {
  readonly code: string;
  readonly message: string;
  readonly detail: Readonly<Record<string, unknown>> | null;
}

export type JobState = "queued" | "running" | "done" | "failed" | "cancelled";

export interface Job {
  readonly id: string | number;
  readonly kind: "train" | "import" | "export" | "prefill";
  readonly state: JobState;
  readonly done: number;
  readonly total: number;
  readonly message: string | null;
  readonly created: number;
  readonly finished: number | null;
  readonly result: Readonly<Record<string, unknown>> | null;
}

export type Measures = Readonly<Record<string, number | null>>;

export interface Round {
  readonly number: number;
  readonly stage: string;
  readonly state: string;
  readonly why: string | null;
  readonly metrics: { readonly before?: Measures | null; readonly after?: Measures | null } | null;
  readonly seconds: number | null;
}

export interface RoundPicture {
  readonly image: number;
  readonly point: readonly [number, number];
  readonly truth: Rle;
  readonly before: { readonly mask: Rle; readonly iou: number };
  readonly after: { readonly mask: Rle; readonly iou: number };
}

export interface Token {
  readonly id: string;
  readonly label: string;
  readonly created_at: number;
  readonly expires_at: number;
}

export interface ModelInfo {
  readonly id: string;
  readonly name: string;
  readonly round: number | null;
  readonly parent: string | null;
  readonly metrics: Measures | null;
  readonly current: boolean;
}

export interface Stats {
  readonly images: Readonly<Record<string, number>>;
  readonly people: readonly { readonly name: string; readonly kind: string; readonly tasks: number; readonly seconds: number; readonly seconds_each: number }[];
  readonly agreement: number | null;
  readonly second_waiting: number;
  readonly masks_per_image: number | null;
  readonly seconds_per_mask: Readonly<Record<string, number | null>>;
  readonly masks_by_stage: Readonly<Record<string, number>>;
  readonly saves_by_day: readonly { readonly day: string; readonly saves: number }[];
}

/** Two people's work on one photo. `layers`, `people`: A, B. */
export interface ComparedPhoto {
  readonly image: Pick<PhotoInfo, "id" | "name" | "hash" | "width" | "height">;
  readonly layers: readonly [number, number];
  readonly people: readonly [string, string];
  readonly agreement: number;
  readonly disagreements: number;
  readonly counts: Readonly<Record<"only_a" | "only_b" | "borders" | "class", number>>;
  /** Since the two handed it in. */
  readonly corrected: boolean;
}

export interface Agreement {
  readonly agreement: number | null;
  readonly photos: number;
  readonly people: readonly { readonly people: readonly [string, string]; readonly photos: number; readonly agreement: number }[];
  readonly comparisons: readonly ComparedPhoto[];
  readonly next: number | null;
}

/** Masks of two layers, as they were handed in, by their uids: pairs, and what only one of them has. */
export interface Compared {
  readonly image: PhotoInfo;
  readonly people: readonly { readonly layer: number; readonly name: string; readonly revision: number }[];
  readonly layers: readonly [number, number];
  readonly agreement: number | null;
  readonly pairs: readonly { readonly a: string; readonly b: string; readonly iou: number; readonly differs: readonly ("borders" | "class")[] }[];
  readonly only_a: readonly string[];
  readonly only_b: readonly string[];
}

export interface Person {
  readonly name: string;
  readonly role: Role;
  readonly created: number;
  readonly active: boolean;
}

export interface LogLine {
  readonly id: number;
  readonly at: number;
  readonly author: string;
  readonly what: string;
  readonly detail: unknown;
}
