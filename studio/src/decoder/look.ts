// What the model sees under a point: asked of the server, or worked out here where the line is slow.

import { send } from "../api/client";
import type { Preview } from "../canvas/preview";
import { mark } from "../marks";
import type { Point } from "../masks/bits";
import type { Box } from "../masks/rle";
import { sides } from "../state/prompting.svelte";
import { decoder } from "./decoder";
import { Line } from "./line";

/** "not-ready": the photo is not encoded yet. null: a newer question came, or nothing is there. */
export type Seen = Preview | "not-ready" | null;

export interface Look {
  /** `view`: the part of a large photo that is on the screen; null: all of it. */
  at(point: Point, view: Box | null): Promise<Seen>;
}

export class ServerLook implements Look {
  private static last = 0; // over all photos: the server answers the newest question of a page

  constructor(
    private readonly image: number,
    private readonly client: string,
    private readonly line: Line,
  ) {}

  async at({ x, y }: Point, view: Box | null): Promise<Seen> {
    const asked = performance.now();
    const seq = ++ServerLook.last;
    const prompt = { points: [[x, y]], labels: [1], ...(view ? { view: sides(view) } : {}) };
    const response = await send(`/images/${this.image}/preview`, { body: { client: this.client, seq, prompt } });
    if (response.status !== 200) return response.headers.get("X-Reason") === "not-ready" ? "not-ready" : null;
    const preview = await previewOf(response);
    this.line.answered(performance.now() - asked, serverTime(response));
    return preview;
  }
}

const line = new Line(); // of this page

/** The server's look; the browser's while the line is slow and the decoder is ready. */
export class NearestLook implements Look {
  private readonly server: ServerLook;

  constructor(
    private readonly image: number,
    client: string,
    private readonly ways: { readonly line: Line; readonly decoder: typeof decoder } = { line, decoder },
  ) {
    this.server = new ServerLook(image, client, ways.line);
  }

  async at(point: Point, view: Box | null): Promise<Seen> {
    const { line, decoder } = this.ways;
    if (!line.isSlow || view) return this.server.at(point, view); // a part of a photo is encoded by the server
    decoder.open(this.image);
    const decoded = line.isHereSooner ? await decoder.at(this.image, point) : null;
    if (!decoded) return this.server.at(point, view);
    line.decoded(decoded.ms);
    mark("decoded", decoded.ms);
    return decoded.preview;
  }
}

async function previewOf(response: Response): Promise<Preview> {
  const values = new Uint8Array(await response.arrayBuffer());
  const [rows, columns] = numbers(response, "X-Inside");
  const [x0, y0, x1, y1] = numbers(response, "X-Shown");
  const probability = response.headers.get("X-Probability");
  return {
    side: Number(response.headers.get("X-Side")),
    inside: [rows!, columns!],
    shown: { x0: x0!, y0: y0!, x1: x1!, y1: y1! },
    values,
    probability: probability === null ? null : Number(probability),
  };
}

function numbers(response: Response, header: string): number[] {
  return response.headers.get(header)!.split(",").map(Number);
}

/** Milliseconds of the answer that were the server's own. */
function serverTime(response: Response): number {
  return Number(/dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "")?.[1] ?? 0);
}
