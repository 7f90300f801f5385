import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the page with hot reload; what it asks of the server goes to a studio that runs beside it.
// ANYMASK_STUDIO is the link that it prints: the token in it lets this server speak for the page.
const link = new URL(process.env.ANYMASK_STUDIO ?? "http://127.0.0.1:8642");
const token = link.searchParams.get("token");
const headers: Record<string, string> = { origin: link.origin, ...(token ? { authorization: `Bearer ${token}` } : {}) };

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../src/anymask/web/static",
    emptyOutDir: true,
    assetsInlineLimit: 0, // no data: URLs, so that the content security policy can stay strict
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  worker: { format: "es" },
  optimizeDeps: { exclude: ["onnxruntime-web"] }, // it looks for its WebAssembly beside itself
  server: { proxy: { "/api": { target: link.origin, changeOrigin: true, headers } } },
  test: { include: ["tests/**/*.test.ts"] },
});
