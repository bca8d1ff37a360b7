// Two runs of a pool as squares: in the line, in the pool, on their way out.
const SVG = "http://www.w3.org/2000/svg";
const STEP = 22, SIDE = 18, LINE = 16, SLOTS = 12, HEAD = 40, POOL = 420;
const KINDS = ["simulated", "real"];
const SPEEDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5];

function make(name, attributes, parent, words) {
  const one = document.createElementNS(SVG, name);
  for (const key in attributes) one.setAttribute(key, attributes[key]);
  if (words !== undefined) one.textContent = words;
  parent?.append(one);
  return one;
}

function decoded(columns) {
  if (!columns?.came) return null;
  const bytes = (view) => view.buffer.slice(
    view.byteOffset, view.byteOffset + view.byteLength);
  const run = {outcomes: new Uint8Array(bytes(columns.outcomes))};
  for (const key of ["came", "chosen", "got", "left", "opened", "closed"])
    run[key] = new Float64Array(bytes(columns[key]));
  return run;
}

// As Run.at in pool_run.py, with the counts of those who are gone.
function stateAt(run, second) {
  const state = {waiting: [], preparing: [], served: [], live: 0,
                 came: 0, ends: [0, 0, 0, 0]};
  run.came.forEach((came, number) => {
    if (came > second) return;
    state.came += 1;
    if (run.left[number] <= second) {
      state.ends[run.outcomes[number]] += 1;
      return;
    }
    const chosen = run.chosen[number], got = run.got[number];
    // What has not happened is nan, and no comparison with nan is true.
    const where = !(chosen <= second) ? "waiting"
      : !(got <= second) ? "preparing" : "served";
    state[where].push(number);
  });
  for (const at of run.opened) state.live += at <= second;
  for (const at of run.closed) state.live -= at <= second;
  return state;
}

class Lane {
  constructor(kind, looks) {
    this.kind = kind;
    this.looks = looks;
    this.svg = make("svg", {role: "img"});
    this.slots = [];  // of the pool: the number of a request, or undefined
    this.squares = new Map();
  }

  layOut(size, most) {
    this.slots = new Array(most).fill(undefined);  // no holes
    this.squares.clear();
    this.svg.replaceChildren();
    const rows = Math.max(3, Math.ceil(most / SLOTS));
    const high = HEAD + rows * STEP + 22;
    this.svg.setAttribute("viewBox", `0 0 880 ${high}`);
    make("text", {x: 12, y: 20, "font-weight": 600}, this.svg,
         this.kind === "real" ? "the real run" : "simulated");
    make("text", {x: POOL, y: 20}, this.svg, "the pool");
    this.line = make("text", {x: 130, y: 20}, this.svg);
    this.more = make("text", {x: 12, y: high - 8}, this.svg);
    this.idle = [];
    for (let slot = 0; slot < most; slot++) {
      const [x, y] = this.placeOf(slot);
      make("rect", {x, y, width: SIDE, height: SIDE, rx: 3,
                    class: slot < size ? "slot" : "slot overflow"}, this.svg);
      const idle = make("g", {transform: `translate(${x} ${y})`}, this.svg);
      this.paint(idle, "idle");
      this.idle.push(idle);
    }
    this.exits = ["done", "timed out", "failed"].map((end, row) => {
      const [colour, sign] = this.looks[end];
      const words = make("text", {x: 712, y: HEAD + 14 + row * STEP},
                         this.svg);
      make("tspan", {style: `fill:${colour}`, "font-weight": 700}, words,
           end === "done" ? "✓ served " : sign + " ");
      return make("tspan", {}, words);
    });
  }

  placeOf(slot) {
    return [POOL + slot % SLOTS * STEP, HEAD + Math.floor(slot / SLOTS) * STEP];
  }

  placeInLine(rank) {  // the first stands beside the pool
    return [POOL - 30 - (rank % LINE + 1) * STEP + 4,
            HEAD + Math.floor(rank / LINE) * STEP];
  }

  paint(square, look) {
    const [colour, letter] = this.looks[look];
    if (square.dataset.look === look) return;
    square.dataset.look = look;
    square.replaceChildren();
    make("rect", {width: SIDE, height: SIDE, rx: 3, fill: colour}, square);
    make("text", {x: SIDE / 2, y: 13, class: "letter"}, square, letter);
  }

  move(number, look, [x, y]) {
    let square = this.squares.get(number);
    if (!square) {
      square = make("g", {class: "request",
                          style: `transform:translate(-20px,${HEAD}px)`},
                    this.svg);
      this.squares.set(number, square);
      square.getBoundingClientRect();  // so that it moves from there
    }
    this.paint(square, look);
    square.style.transform = `translate(${x}px,${y}px)`;
  }

  leave(number, outcome) {
    const square = this.squares.get(number);
    this.squares.delete(number);
    if (outcome > 1) this.paint(square, outcome === 2 ? "timed out" : "failed");
    square.style.transform =
      `translate(700px,${HEAD + (outcome - 1) * STEP}px)`;
    square.style.opacity = 0;
    setTimeout(() => square.remove(), 200);
  }

  draw(run, second, jump) {
    const state = stateAt(run, second);
    this.svg.classList.toggle("jump", jump);
    const inPool = new Set([...state.preparing, ...state.served]);
    const shown = new Set([...state.waiting.slice(0, 3 * LINE), ...inPool]);
    for (const [number, square] of this.squares)
      if (!shown.has(number)) {
        if (!jump && run.left[number] <= second)
          this.leave(number, run.outcomes[number]);
        else {
          square.remove();
          this.squares.delete(number);
        }
      }
    this.slots.forEach((number, slot) => {
      if (!inPool.has(number)) this.slots[slot] = undefined;
    });
    for (const number of inPool)
      if (!this.slots.includes(number))
        this.slots[this.slots.findIndex(one => one === undefined)] = number;
    const served = new Set(state.served);
    let idle = state.live - state.served.length;
    this.slots.forEach((number, slot) => {
      this.idle[slot].style.display =
        number === undefined && idle-- > 0 ? "" : "none";
      if (number !== undefined)
        this.move(number, served.has(number) ? "served" : "preparing",
                  this.placeOf(slot));
    });
    state.waiting.slice(0, 3 * LINE).forEach((number, rank) =>
      this.move(number, "waiting", this.placeInLine(rank)));
    const more = state.waiting.length - 3 * LINE;
    this.more.textContent = more > 0 ? `… and ${more} more wait` : "";
    this.line.textContent =
      `${state.came} came, ${state.waiting.length} wait`;
    this.exits.forEach((words, row) => {
      words.textContent = state.ends[row + 1];
    });
    const count = `${state.waiting.length} waiting, ${state.preparing.length}`
      + ` connecting, ${state.served.length} in use, ${state.live} connections`
      + ` live, ${state.ends[1]} served, ${state.ends[2]} timed out`;
    this.svg.setAttribute("aria-label", `${this.kind}: ${count}`);
    return [state.waiting.length, state.preparing.length, state.served.length,
            state.live];
  }
}

function render({model, el}) {
  el.classList.add("queue-picture");
  const lanes = KINDS.map(kind => new Lane(kind, model.get("looks")));
  el.innerHTML = `<div class="controls"><button type="button">▶ Play</button>
    <label>speed <select></select></label>
    <input type="range" min="0" step="0.01" aria-label="second of the run">
    <output></output></div><div class="lanes"></div>
    <div class="chart"><div class="drawn"></div><div class="now"></div></div>`;
  const [play, speed, slider, shown, now] = ["button", "select", "input",
    "output", ".now"].map(what => el.querySelector(what));
  for (const one of SPEEDS) speed.add(new Option(`${one} ×`, one));
  speed.value = 1;
  el.querySelector(".lanes").append(...lanes.map(lane => lane.svg));
  let runs = [], second = 0, playing = false, frame = 0, before;

  function draw(jump) {
    slider.value = second;
    shown.textContent = `second ${second.toFixed(2)}`;
    const {left, wide} = model.get("place");
    now.style.left = `${left + wide * second / model.get("seconds")}px`;
    el.dataset.second = second;
    lanes.forEach((lane, number) => {
      lane.svg.style.display = runs[number] ? "" : "none";
      if (runs[number])
        el.dataset[lane.kind] = lane.draw(runs[number], second, jump);
      else delete el.dataset[lane.kind];
    });
  }

  function go(at, jump) {
    second = Math.min(Math.max(at, 0), model.get("seconds"));
    draw(jump);
  }

  function tick(at) {
    frame = 0;
    if (!playing) return;
    if (el.getClientRects().length)  // out of sight, time stands still
      go(second + Math.min((at - before) / 1000, 0.25) * speed.value, false);
    before = at;
    if (second >= model.get("seconds")) stop();
    else frame = requestAnimationFrame(tick);
  }

  function stop() {
    playing = false;
    play.textContent = "▶ Play";
  }

  function start() {
    if (second >= model.get("seconds")) go(0, true);
    playing = true;
    play.textContent = "⏸ Pause";
    before = performance.now();
    frame ||= requestAnimationFrame(tick);
  }

  function take() {
    runs = KINDS.map(kind => decoded(model.get(kind)));
    el.querySelector(".drawn").innerHTML = model.get("chart");
    slider.max = model.get("seconds");
    const real = runs[1];
    if (model.get("live") && real?.came.length) {
      stop();
      second = Math.max(...real.came);
    }
    second = Math.min(second, model.get("seconds"));
    draw(!model.get("live"));
  }

  let size, most;
  function layOut() {
    if (size === model.get("size") && most === model.get("most")) return;
    [size, most] = [model.get("size"), model.get("most")];
    lanes.forEach(lane => lane.layOut(size, most));
  }

  play.addEventListener("click", () => playing ? stop() : start());
  slider.addEventListener("input", () => {
    stop();
    go(Number(slider.value), true);
  });
  let due = false;
  function changed() {  // several traits of one message are one change
    if (due) return;
    due = true;
    queueMicrotask(() => { due = false; layOut(); take(); });
  }
  for (const kind of ["simulated", "real", "chart", "size", "most", "live"])
    model.on(`change:${kind}`, changed);
  second = model.get("seconds") / 2;
  layOut();
  take();
  return () => cancelAnimationFrame(frame);
}

export default {render};
