// The network is in the browser: two ONNX models beside the page, run by onnxruntime-web; no server but for the files.

import { latent } from "./random.js";

const FILES = "network/";

export class OnnxBackend {
  features = { snapshots: false, projection: false, record: false, latents: false, command: false };

  /** Opens the network beside the page. */
  static async open() {
    const backend = new OnnxBackend();
    const file = async (name) => {
      const answer = await fetch(FILES + name);
      if (!answer.ok) throw new Error(`${FILES}${name} is missing; export the page again.`);
      return answer;
    };
    const ort = await import(new URL("../onnxruntime-web/ort.wasm.bundle.min.mjs", import.meta.url).href);
    ort.env.wasm.wasmPaths = new URL("../onnxruntime-web/", import.meta.url).href;
    ort.env.wasm.numThreads = 1; // more need headers that static servers do not send
    backend.ort = ort;
    backend.facts = await (await file("studio.json")).json();
    const [average, vectors, ...models] = await Promise.all(
      ["w_average.bin", "directions.bin", "mapping.onnx", "synthesis.onnx"].map(async (name) => (await file(name)).arrayBuffer()));
    backend.average = new Float32Array(average);
    backend.vectors = new Float32Array(vectors);
    [backend.mapping, backend.synthesis] = await Promise.all(models.map((model) => ort.InferenceSession.create(model, { executionProviders: ["wasm"] })));
    const { name, kimg } = backend.facts;
    backend.networks = [{ id: "0", name, snapshots: [{ id: "0", kimg }] }];
    backend.running = Promise.resolve();
    backend.newest = new Map(); // {view: number of its newest request}
    return backend;
  }

  describe = async () => ({ ...this.facts, id: "0", previews: [] });
  directions = async () => this.facts.directions;

  /** Images of recipes, an array of ImageBitmap; null where a newer request of the same view has replaced this one. */
  async draw(view, network, recipes, side, each = () => {}) {
    const number = (this.newest.get(view) ?? 0) + 1, bitmaps = [];
    this.newest.set(view, number);
    for (const recipe of recipes) {
      const done = this.running.then(async () => (this.newest.get(view) === number ? this.image(await this.styles(recipe)) : null));
      this.running = done.catch(() => {}); // one after the other; what others ask comes in between
      const bitmap = await done;
      if (bitmap === null) return null;
      each(bitmaps.push(bitmap) - 1, [bitmap]);
    }
    return bitmaps;
  }

  async picture(network, recipe) {
    const [bitmap] = await this.draw(Symbol("picture"), network, [recipe]);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  /** w of a recipe, Float32Array of num_layers times dlatent_size: what studio/recipes.py does. */
  async styles(recipe) {
    if (recipe.from) {
      const [from, to] = [await this.styles(recipe.from), await this.styles(recipe.to)];
      return from.map((x, i) => x + (to[i] - x) * recipe.t);
    }
    const { num_layers: layers, dlatent_size: size } = this.facts;
    const w = (await this.source(recipe.a, recipe)).slice();
    const b = recipe.b && (await this.source(recipe.b, recipe));
    if (recipe.mix) {
      for (const layer of recipe.mix) w.set(b.subarray(layer * size, (layer + 1) * size), layer * size);
    } else if (b) {
      const a = w.slice(), c = recipe.c && (await this.source(recipe.c, recipe));
      const [x, y] = recipe.plane ?? [recipe.t ?? 0, 0];
      for (let i = 0; i < w.length; i++) w[i] = a[i] + x * (b[i] - a[i]) + (c ? y * (c[i] - a[i]) : 0);
    }
    for (const step of recipe.directions ?? []) {
      const at = this.facts.directions.findIndex(({ name }) => name === step.name) * size;
      if (at < 0) throw new Error(`The network has no direction ${step.name}.`);
      const [first, last] = step.layers ?? [0, layers - 1];
      for (let layer = first; layer <= last; layer++)
        for (let i = 0; i < size; i++) w[layer * size + i] += step.strength * this.vectors[at + i];
    }
    return w;
  }

  /** Truncated w of a source. */
  async source(source, recipe) {
    const { num_layers: layers, dlatent_size: size, latent_size: latents, classes, label_size: labels } = this.facts;
    const { psi = this.facts.psi, cutoff = this.facts.cutoff } = recipe;
    if (source.picture) throw new Error("This page has no pictures of yours; they need the studio's server.");
    const average = (i) => this.average[i % size];
    if (source.mean) return Float32Array.from({ length: layers * size }, (_, i) => average(i));
    const feeds = { latents: new this.ort.Tensor("float32", latent(source.seed, latents), [1, latents]) };
    if (labels) {
      const column = source.class ?? classes[source.seed % classes.length].number;
      feeds.labels = new this.ort.Tensor("float32", Float32Array.from({ length: labels }, (_, i) => Number(i === column)), [1, labels]);
    }
    const { w } = await this.mapping.run(feeds);
    return Float32Array.from(w.data, (x, i) => (Math.floor(i / size) < cutoff ? average(i) + psi * (x - average(i)) : x));
  }

  /** The image of w, an ImageBitmap with the aspect of the data. */
  async image(w) {
    const { num_layers: layers, dlatent_size: size, resolution: side, channels, aspect } = this.facts;
    const { images } = await this.synthesis.run({ w: new this.ort.Tensor("float32", w, [1, layers, size]) });
    const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
    for (let i = 0; i < side * side; i++) {
      const value = (channel) => images.data[i * channels + channel] * 127.5 + 127.5;
      for (let channel = 0; channel < 3; channel++) pixels[4 * i + channel] = value(channels === 1 ? 0 : channel);
      if (channels < 4) continue;
      const alpha = (pixels[4 * i + 3] = value(3)); // the network's colours are multiplied by it
      for (let channel = 0; channel < 3; channel++) pixels[4 * i + channel] = alpha > 0 ? (255 * value(channel)) / alpha : 0;
    }
    const square = new ImageData(pixels, side, side);
    if (!aspect) return createImageBitmap(square);
    const [width, height] = aspect, shorter = Math.max(2, 2 * Math.round((side * Math.min(width, height)) / Math.max(width, height) / 2));
    const size2d = width > height ? { resizeWidth: side, resizeHeight: shorter } : { resizeWidth: shorter, resizeHeight: side };
    return createImageBitmap(square, { ...size2d, resizeQuality: "high" });
  }
}
