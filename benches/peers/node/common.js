// What the servers of the comparison on Node.js have in common.
import { parseArgs } from "node:util";

/** Connections that may wait to be accepted; every server of the comparison has the same. */
const BACKLOG = 4096;
/** The incarnation that events are numbered in. */
const EPOCH = "6d6164616e67bead";

/** Listens where the arguments say, and says where that is. Some libraries have a `listen` of their own. */
export function listen(server, listener = server) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });
  listener.listen(Number(values.port), "127.0.0.1", BACKLOG, () => {
    console.log(`port ${server.address().port}`);
  });
}

/** What a path asks for: the room to relay in, or the room whose events are wanted. */
export function asked(url) {
  const [path, query] = url.split("?");
  if (path.startsWith("/raw/")) return { relay: path.slice(5), echo: query === "echo=1" };
  const events = /^\/rooms\/(.*)\/events$/.exec(path);
  return events ? { events: events[1] } : {};
}

/** Makes a room's events: the same text as Madang's, so that all candidates send as many bytes. */
export class Scribe {
  #seq = 0;
  #start = Date.now();

  resume() {
    const seq = this.#seq;
    return `id: ${EPOCH}-${seq}\nevent: resume\ndata: {"recovered":false,"epoch":"${EPOCH}","epoch_at_ms":0,"from":${seq},"state":false}\n\n`;
  }

  message(payload) {
    this.#seq += 1;
    const [seq, at] = [this.#seq, Date.now() - this.#start];
    return `id: ${EPOCH}-${seq}\nevent: message\ndata: {"channel":0,"seq":${seq},"from":1,"at":${at},"cseq":${seq},"type":"load","payload":{"bytes":"${payload.toString("base64")}"}}\n\n`;
  }
}
