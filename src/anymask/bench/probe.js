// Put into the page before it starts: from an event of a person to the frame in which its effect is on the screen.
// The page marks moments by User Timing (studio/src/marks.ts); "painted" is the first task after the frame that drew it.
(() => {
  const LIMIT_MS = 60000;
  const OUTSIDE_OF_FRAMES = new Set(["kept", "saved"]);
  const markBefore = performance.mark.bind(performance);
  let armed = null;

  function afterFrame(act) {
    const channel = new MessageChannel();
    channel.port1.onmessage = act;
    channel.port2.postMessage(null);
  }

  performance.mark = (name, options) => {
    const moment = name.startsWith("anymask:") ? name.slice(8) : "";
    const mine = armed;
    if (mine && mine.start !== null && mine.wanted.delete(moment)) {
      const done = () => {
        mine.times[moment] = performance.now() - mine.start;
        if (Object.keys(mine.times).length === mine.count) mine.resolve(mine.times);
      };
      if (OUTSIDE_OF_FRAMES.has(moment)) requestAnimationFrame(() => afterFrame(done));
      else afterFrame(done);
    }
    return markBefore(name, options);
  };

  const heard = (event) => {
    if (armed && armed.start === null && armed.type === event.type) armed.start = event.timeStamp;
  };
  for (const type of ["pointermove", "pointerdown", "pointerup", "keydown", "wheel"])
    window.addEventListener(type, heard, { capture: true, passive: true });

  /** Waits for moments after the next event of a type, or from now on. */
  function arm(type, moments) {
    let resolve, reject;
    const reached = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
    reached.catch(() => {});
    const start = type === null ? performance.now() : null;
    armed = { type, wanted: new Set(moments), count: moments.length, start, times: {}, resolve, reached };
    setTimeout(() => reject(new Error(`not reached: ${moments.join(", ")} after ${type}`)), LIMIT_MS);
  }

  async function preview(id, seq, at) {
    const body = JSON.stringify({ client: "bench", seq, prompt: { points: [at], labels: [1] } });
    const headers = { "Content-Type": "application/json" };
    return (await fetch(`/api/v1/images/${id}/preview`, { method: "POST", headers, body })).status;
  }

  /** Opens a photo: when it is painted, and when a prompt on it is answered. */
  async function open(id, at) {
    arm(null, ["photo"]);
    const { reached, start } = armed;
    location.hash = `#/annotate/${id}`;
    const { photo } = await reached;
    const painted = performance.now() - start;
    for (let seq = 0; (await preview(id, seq, at)) !== 200; seq++) await new Promise((next) => setTimeout(next, 10));
    return { photo, promptable: Math.max(painted, performance.now() - start) };
  }

  /** Sends an event in each frame for some time; gives the times between frames. */
  function frames(milliseconds, send) {
    return new Promise((resolve) => {
      const gaps = [];
      let [first, last, count] = [null, null, 0];
      const frame = (now) => {
        if (last !== null) gaps.push(now - last);
        first ??= now;
        last = now;
        if (now - first >= milliseconds) return resolve(gaps);
        send(count++);
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
  }

  const photoElement = () => document.querySelector("[role=application]");

  /** To and fro; a button of the mouse is held. */
  function pan(milliseconds, x, y) {
    return frames(milliseconds, (count) => {
      const clientX = x + 120 * Math.sin(count / 15);
      const clientY = y + 80 * Math.sin(count / 11);
      photoElement().dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, pointerId: 1, pointerType: "mouse", buttons: 1 }));
    });
  }

  function zoom(milliseconds, clientX, clientY) {
    return frames(milliseconds, (count) => {
      const deltaY = 30 * Math.sign(Math.sin(count / 20));
      photoElement().dispatchEvent(new WheelEvent("wheel", { clientX, clientY, deltaY, cancelable: true }));
    });
  }

  window.anymaskProbe = { arm, reached: () => armed.reached, open, pan, zoom };
})();
