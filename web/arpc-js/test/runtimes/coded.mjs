// A client with every coder, as scenarios.UseCoders of the Go server has them.
import { connect } from "arpc-js";
import { aead } from "arpc-js/aead";
import { gzip } from "arpc-js/gzip";
import { trace } from "arpc-js/trace";

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** As `connect`; the frames go through coders. */
export function codedConnect(url, options) {
  const client = connect(url, options);
  client.useCoder(trace({ current: () => parent }));
  client.useCoder(gzip({ minBytes: 64 }));
  client.useCoder(aead(new Uint8Array(32)));
  return client;
}
