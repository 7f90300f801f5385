// What every screen knows: who is here, which project, where we are, what is being saved, what was said.

import { ApiError, get, hooks, post, urls } from "../api/client";
import type { Job, Op, PhotoInfo, Project, Session, StoredMask, Work } from "../api/types";
import { decoder } from "../decoder/decoder";
import { t } from "../i18n/index.svelte";
import type { Act } from "../keys/keymap";
import { Jobs } from "./jobs.svelte";
import { type Again, SaveQueue, type Sending, type Waiting } from "./queue";

export type Screen = "gallery" | "annotate" | "audit" | "dashboard" | "agreement" | "data" | "jobs" | "people" | "settings" | "join";
const SCREENS: readonly Screen[] = ["gallery", "annotate", "audit", "dashboard", "agreement", "data", "jobs", "people", "settings", "join"];

const REFRESH_MS = 400;

export interface Route {
  readonly screen: Screen;
  readonly id: string | null;
  /** The comparison that a photo was opened from. */
  readonly from?: string | undefined;
}

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly kind: "info" | "error";
  /** No longer true once the server answers. */
  readonly offline?: boolean;
}

type StaleHandler = (revision: number, masks: readonly StoredMask[], operations: readonly Op[]) => Again | null;

class App {
  route = $state.raw<Route>(routeOf(location.hash));
  session = $state.raw<Session | null>(null);
  project = $state.raw<Project | null>(null);
  photos = $state.raw<readonly PhotoInfo[]>([]);
  photosLoaded = $state(false);
  readonly jobs = new Jobs();
  saving = $state.raw<{ state: Sending; waiting: number }>({ state: "idle", waiting: 0 });
  everSaved = $state(false);
  toasts = $state.raw<readonly Toast[]>([]);
  /** For people who do not see the photo: read out as it changes, in the language of the moment. */
  said = $state.raw<() => string>(() => "");
  unreachable = $state(false);
  signIn = $state(false);
  help = $state(false);
  palette = $state(false);
  /** What the screen with a photo does when told an act by name. */
  act = $state.raw<((act: Act) => void) | null>(null);
  /** The screen that shows a photo answers what others did to it. */
  onStale: Map<number, StaleHandler> = new Map();
  onReopened: Map<number, (work: Work) => void> = new Map();
  onSaved: Map<number, (mine: boolean) => void> = new Map();
  onLost: Map<number, (error: ApiError) => void> = new Map();
  onImage: Set<(id: number, revision: number, by: string, layer: number) => void> = new Set();
  /** Nothing waits to be saved. */
  onIdle: Set<() => Promise<void>> = new Set();
  readonly queue: SaveQueue;
  private signedInAt = 0;
  private events: EventSource | null = null;
  private readonly stale = new Map<number, ReturnType<typeof setTimeout>>();

  constructor() {
    window.addEventListener("hashchange", () => (this.route = routeOf(location.hash)));
    window.addEventListener("online", () => void this.queue.flush());
    hooks.signedOut = (asked) => {
      if (asked < this.signedInAt) return; // an answer that was still on its way when somebody signed in again
      this.queue.pause();
      this.signIn = true;
    };
    hooks.reached = () => {
      if (this.toasts.some((one) => one.offline)) this.toasts = this.toasts.filter((one) => !one.offline);
    };
    this.queue = new SaveQueue({
      saved: (image, mine) => {
        this.everSaved = true;
        this.onSaved.get(image)?.(mine);
      },
      stale: (image, revision, masks, operations) => this.onStale.get(image)?.(revision, masks, operations) ?? null,
      reopen: (waiting) => this.reopen(waiting),
      lost: (image, error) => {
        this.tell(t("save.lost", { why: error.message }), "error");
        this.onLost.get(image)?.(error);
      },
      state: (state, waiting) => {
        this.saving = { state, waiting };
        if (state === "idle") for (const listener of this.onIdle) void listener();
      },
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.saving.waiting > 0) event.preventDefault();
    });
  }

  get admin(): boolean {
    return this.session?.user?.role === "admin";
  }

  get reviewer(): boolean {
    return this.admin || this.session?.user?.role === "reviewer";
  }

  async start(): Promise<void> {
    try {
      this.session = await get<Session>("/session");
      this.unreachable = false;
    } catch (error) {
      this.unreachable = error instanceof ApiError && error.status === 0;
      if (this.unreachable) setTimeout(() => void this.start(), 2000);
      return;
    }
    if (!this.session.user) return;
    this.signIn = false;
    this.signedInAt = performance.now();
    await this.reload();
    this.queue.resume();
    this.listen();
    await this.loadPhotos();
  }

  async reload(): Promise<void> {
    try {
      const before = this.project?.model.fingerprint;
      this.project = await get<Project>("/project");
      if (before !== this.project.model.fingerprint) decoder.forget();
    } catch (error) {
      this.fail(error);
    }
  }

  async loadPhotos(): Promise<void> {
    const all: PhotoInfo[] = [];
    let after: number | null = 0;
    try {
      while (after !== null) {
        const page: { images: PhotoInfo[]; next: number | null } = await get(`/images?after=${after}&limit=500`);
        all.push(...page.images);
        after = page.next;
        if (!this.photosLoaded) this.photos = [...all];
      }
      this.photos = all;
      this.photosLoaded = true;
    } catch (error) {
      this.fail(error);
    }
  }

  /** Once nothing more has come for a moment: somebody saves a mask after the other. */
  private refreshSoon(id: number): void {
    clearTimeout(this.stale.get(id));
    this.stale.set(id, setTimeout(() => (this.stale.delete(id), void this.refreshPhoto(id)), REFRESH_MS));
  }

  async refreshPhoto(id: number): Promise<void> {
    try {
      const fresh = await get<PhotoInfo>(`/images/${id}`);
      this.photos = this.photos.map((one) => (one.id === id ? fresh : one));
    } catch {
      // The list is a convenience; the next load shows it.
    }
  }

  async loadJobs(): Promise<void> {
    if (!this.reviewer) return;
    try {
      await this.jobs.load();
    } catch (error) {
      this.fail(error);
    }
  }

  go(screen: Screen, id: string | number | null = null): void {
    location.hash = id === null ? `#/${screen}` : `#/${screen}/${id}`;
  }

  tell(text: string, kind: Toast["kind"] = "info", offline = false): void {
    const toast: Toast = { id: Math.random(), text, kind, offline };
    this.toasts = [...this.toasts.filter((one) => one.text !== text).slice(-2), toast];
    this.say(() => ""); // a notice is read out by itself, and what was said before it is over
    setTimeout(() => this.hush(toast.id), kind === "error" ? 9000 : 4500);
  }

  hush(id: number): void {
    this.toasts = this.toasts.filter((one) => one.id !== id);
  }

  say(words: () => string): void {
    this.said = words;
  }

  /** Shows a failure; what is no failure of the server is a mistake of ours and is thrown on. */
  fail(error: unknown): void {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return;
    const offline = error.status === 0;
    this.tell(offline ? t("offline.short") : error.message, "error", offline);
  }

  /** Takes the photo again for what waits to be saved: where nobody else can have changed it, or nobody has. */
  private async reopen(waiting: Waiting): Promise<{ lease: Waiting["lease"]; revision: number } | null> {
    try {
      const work = await post<Work>(`/images/${waiting.image}/open`);
      const { lease, revision } = work;
      this.onReopened.get(waiting.image)?.(work);
      if (this.session?.mode !== "single" && revision !== waiting.base) return null;
      return { lease: { task: lease.task, token: lease.token }, revision };
    } catch (error) {
      if (error instanceof ApiError) return null;
      throw error;
    }
  }

  async signOut(): Promise<void> {
    await post("/session", {}, { method: "DELETE" }).catch((error: unknown) => this.fail(error));
    location.reload();
  }

  private listen(): void {
    this.events?.close();
    const events = (this.events = new EventSource(urls.events));
    events.addEventListener("job", (event) => {
      const job = JSON.parse((event as MessageEvent<string>).data) as Job;
      this.jobs.told(job);
      if (job.state === "done") void this.reload();
      if (job.state === "done" && (job.kind === "import" || job.kind === "prefill")) void this.loadPhotos();
    });
    events.addEventListener("image", (event) => {
      const { id, revision, by, layer } = JSON.parse((event as MessageEvent<string>).data) as { id: number; revision: number; by: string; layer: number };
      this.refreshSoon(id);
      for (const listener of this.onImage) listener(id, revision, by, layer);
    });
    events.addEventListener("project", () => void this.reload());
    let broken = false;
    events.onerror = () => (broken = true);
    events.onopen = () => {
      hooks.reached();
      void this.loadJobs(); // those that ended before anybody listened
      if (broken) void Promise.all([this.reload(), this.loadPhotos()]);
      broken = false;
      void this.queue.flush();
    };
  }
}

function routeOf(hash: string): Route {
  // An invitation is a link that somebody was sent; everything else is behind the #.
  if (location.pathname === "/invitation") return { screen: "join", id: new URLSearchParams(location.search).get("code") };
  const [, screen, id, from] = hash.replace(/^#/, "").split("/");
  const known = SCREENS.find((one) => one === screen) ?? "gallery";
  return { screen: known, id: id ? decodeURIComponent(id) : null, from };
}

export const app = new App();
