// The network is on the server: one WebSocket for images, plain requests for the rest.

/** A problem that the server has told, in one sentence. */
export class Refused extends Error {}

export class ServerBackend {
  features = { snapshots: true, projection: true, record: true, latents: true, command: true };

  /** Asks what there is. */
  static async open() {
    const backend = new ServerBackend();
    const answer = await (await fetch("api/networks")).json();
    backend.token = answer.token;
    backend.networks = answer.networks;
    backend.user = Array.from(crypto.getRandomValues(new Uint8Array(12)), (x) => x.toString(16).padStart(2, "0")).join("");
    backend.waiting = new Map();
    backend.listeners = new Map();
    backend.early = new Map(); // {picture: what was told of it before the answer that names it}
    backend.count = 0;
    await backend.connect();
    return backend;
  }

  connect() {
    this.connecting = new Promise((resolve, reject) => {
      const address = new URL(`ws?token=${this.token}&user=${this.user}`, location.href);
      address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
      address.hash = "";
      const socket = new WebSocket(address);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => resolve(socket);
      socket.onmessage = (event) => this.receive(event.data);
      socket.onclose = () => {
        reject(new Refused("The studio does not answer; is it still running? Load the page anew when it is."));
        for (const { resolve: end } of this.waiting.values()) end(null);
        this.waiting.clear();
        this.connecting = null;
      };
    });
    return this.connecting;
  }

  receive(data) {
    if (typeof data === "string") {
      const told = JSON.parse(data);
      const name = told.picture ?? told.walk;
      if (name !== undefined) {
        if (told.picture && !this.listeners.has(name)) this.early.set(name, told);
        return this.listeners.get(name)?.(told);
      }
      const waiting = this.waiting.get(told.n);
      this.waiting.delete(told.n);
      if (told.error) waiting?.reject(new Refused(told.error));
      else waiting?.resolve(null);
      return undefined;
    }
    const length = new DataView(data).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const blobs = [], waiting = this.waiting.get(header.n);
    let at = 4 + length;
    for (const size of header.sizes) {
      blobs.push(new Blob([new Uint8Array(data, at, size)], { type: "image/png" }));
      at += size;
    }
    if (!waiting) return undefined;
    const part = Promise.all(blobs.map((blob) => createImageBitmap(blob)));
    part.then((bitmaps) => waiting.each(header.first, bitmaps), waiting.reject);
    waiting.parts.push(part);
    if (header.first + header.count === header.of) {
      this.waiting.delete(header.n);
      Promise.all(waiting.parts).then((parts) => waiting.resolve(parts.flat()), waiting.reject);
    }
    return undefined;
  }

  describe(network) {
    return this.get(`api/networks/${encodeURIComponent(network)}`);
  }

  async directions(network) {
    return (await this.get(`api/networks/${encodeURIComponent(network)}/directions`)).directions;
  }

  /**
   * Images of recipes, an array of ImageBitmap; null where a newer request of the same view has replaced this one.
   * @param {string} view @param {string} network @param {Object[]} images Recipes. @param {number} [side] Of a preview.
   * @param {function} [each] Gets (number of the first, bitmaps) of those that are there already, some at a time.
   */
  async draw(view, network, images, side, each = () => {}) {
    const socket = await (this.connecting ?? this.connect());
    const n = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(n, { resolve, reject, each, parts: [] });
      socket.send(JSON.stringify({ n, view, network, images, ...(side ? { side } : {}) }));
    });
  }

  picture = (network, recipe) => this.post("api/picture", { network, recipe }, "blob");
  latents = (network, recipe) => this.post("api/w", { network, recipe }, "blob");
  command = (network, recipe) => this.post("api/command", { network, recipe });

  /** Has a walk recorded; `told` gets {done, of}. */
  walk(asked, told) {
    const walk = `walk-${++this.count}`;
    this.listeners.set(walk, told);
    return this.post("api/walk", { ...asked, walk }, "blob").finally(() => this.listeners.delete(walk));
  }

  /** Begins to project a picture; `told` gets {step, of, distance, image}, then {done} or {error}. Returns its id. */
  async project(network, file, steps, told) {
    const query = new URLSearchParams({ network, steps });
    const answer = await this.send(`api/projections?${query}`, { method: "POST", body: file });
    const { picture } = await answer.json();
    this.listeners.set(picture, told);
    if (this.early.has(picture)) setTimeout(() => told(this.early.get(picture))); // once the caller knows the id
    return picture;
  }

  stop = (picture) => this.send(`api/projections/${picture}`, { method: "DELETE" });

  async get(address) {
    return (await this.send(address)).json();
  }

  async post(address, body, kind = "json") {
    const options = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
    return (await this.send(address, options))[kind]();
  }

  async send(address, options = {}) {
    const headers = { ...options.headers, "X-Studio-Token": this.token, "X-Studio-User": this.user };
    let answer;
    try {
      answer = await fetch(address, { ...options, headers });
    } catch {
      throw new Refused("The studio does not answer; is it still running?");
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    throw new Refused(told.error ?? `The server has answered ${answer.status}.`);
  }
}
