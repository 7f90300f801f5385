// Talks to the server. One shape of failure; every answer typed by its shape in types.ts.

import { plain } from "./plain";
import type { Fault, StoredMask } from "./types";

const ROOT = "/api/v1";

/** What went wrong: `status` 0 means that the server could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly fault: Fault,
  ) {
    super(plain(fault.message));
  }

  get code(): string {
    return this.fault.code;
  }
}

/** Called when the session ended while somebody works (`asked`: when the refused request was sent): the page asks to sign in, and nothing is lost. */
export const hooks: { signedOut: (asked: number) => void; reached: () => void } = { signedOut: () => {}, reached: () => {} };

export interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export async function send(path: string, ask: Ask = {}): Promise<Response> {
  const form = ask.body instanceof FormData;
  const asked = performance.now();
  let response: Response;
  try {
    response = await fetch(ROOT + path, {
      method: ask.method ?? (ask.body === undefined ? "GET" : "POST"),
      headers: { ...(ask.body === undefined || form ? {} : { "Content-Type": "application/json" }), ...ask.headers },
      body: ask.body === undefined ? null : form ? (ask.body as FormData) : JSON.stringify(ask.body),
      signal: ask.signal ?? null,
    });
  } catch (error) {
    if (ask.signal?.aborted) throw error;
    throw unreachable();
  }
  hooks.reached();
  if (response.ok) return response;
  const fault = await faultOf(response);
  if (fault.code === "signed_out" && path !== "/session") hooks.signedOut(asked);
  throw new ApiError(response.status, fault);
}

function unreachable(): ApiError {
  return new ApiError(0, { code: "offline", message: "The server cannot be reached.", detail: null });
}

async function faultOf(response: Response): Promise<Fault> {
  try {
    const { error } = (await response.json()) as { error: Fault };
    if (typeof error.message === "string") return error;
  } catch {
    // Not our shape: a proxy in between, perhaps.
  }
  return { code: "failed", message: `${response.status} ${response.statusText}`, detail: null };
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await send(path, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) });
  return (await response.json()) as T;
}

export async function post<T>(path: string, body: unknown = {}, ask: Ask = {}): Promise<T> {
  const response = await send(path, { ...ask, method: ask.method ?? "POST", body });
  return (response.status === 204 ? null : await response.json()) as T;
}

/** The lines of a streamed answer, as they come. */
export async function* lines<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
  const response = await send(path, { body, signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error: unknown) => {
      throw signal.aborted ? error : unreachable(); // it went away in the middle of its answer
    });
    rest += value ?? "";
    const parts = rest.split("\n");
    rest = done ? "" : parts.pop()!;
    for (const part of parts) if (part.trim()) yield JSON.parse(part) as T;
    if (done) return;
  }
}

export interface MaskBytes {
  readonly revision: number;
  readonly masks: readonly (Omit<StoredMask, "rle"> & { readonly runs: Uint32Array })[];
}

/** The masks of a photo, of now or of a revision, as plain run lengths: for thousands of them much quicker than JSON. */
export async function masksOf(image: number, layer: number, revision?: number): Promise<MaskBytes> {
  const at = revision === undefined ? "" : `&revision=${revision}`;
  const response = await send(`/images/${image}/masks?layer=${layer}${at}`, { headers: { Accept: "application/octet-stream" } });
  return readMasks(await response.arrayBuffer());
}

export function readMasks(bytes: ArrayBuffer): MaskBytes {
  const view = new DataView(bytes);
  const text = new TextDecoder();
  if (text.decode(new Uint8Array(bytes, 0, 4)) !== "AMK1") throw new RangeError("no masks of this version");
  const length = view.getUint32(4, true);
  const header = JSON.parse(text.decode(new Uint8Array(bytes, 8, length))) as {
    revision: number;
    masks: (Omit<StoredMask, "rle"> & { runs: [number, number] })[];
  };
  const all = new Uint32Array(bytes, 8 + length);
  return {
    revision: header.revision,
    masks: header.masks.map((mask) => ({ ...mask, runs: all.subarray(mask.runs[0], mask.runs[0] + mask.runs[1]) })),
  };
}

export const urls = {
  thumbnail: (id: number, hash: string): string => `${ROOT}/images/${id}/thumbnail?v=${hash}`,
  photo: (id: number, hash: string, size: "display" | "full"): string => `${ROOT}/images/${id}/photo?size=${size}&v=${hash}`,
  tile: (id: number, hash: string, level: number, x: number, y: number): string =>
    `${ROOT}/images/${id}/tiles/${level}/${x}/${y}?v=${hash}`,
  download: (job: string | number): string => `${ROOT}/jobs/${job}/download`,
  report: `${ROOT}/report`,
  events: `${ROOT}/events`,
};

export async function picture(url: string): Promise<ImageBitmap> {
  const response = await fetch(url);
  if (!response.ok) throw new ApiError(response.status, await faultOf(response));
  return createImageBitmap(await response.blob());
}

/** Of a picture that did not come: it is the file, not the way to the server or who asks. */
export function isLost(error: unknown): error is ApiError {
  return error instanceof ApiError && ![401, 429, 503].includes(error.status);
}

export function newUid(): string {
  // randomUUID is absent on plain http to another machine; getRandomValues is not.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
