// The steps of the table that are about topics.
import { bodyOf, expectBody, expectError, expectResult, expectSame } from "./values.mjs";

/** Subscribes for the steps that look at what came: messages, gaps and the end in one order. */
async function subscribe(player, { topic, since, epoch, last, echo, info, error }) {
  const position = since !== undefined && {
    since: { epoch: epoch ?? player.epochs.get(topic), offset: since },
  };
  const presence = info !== undefined && { presence: { info } };
  const options = { ...position, ...presence, last, echo };
  const subscription = follow(player, topic, options);
  await expectResult(subscription.ready, error);
  if (error) return;
  player.epochs.set(topic, subscription.position.epoch);
  player.subscriptions.set(topic, subscription);
}

/** Has what comes by a topic put into inboxes. */
export function follow({ client, inboxes }, topic, options) {
  const put = (come) => void inboxes.put(topic, come);
  const subscription = client.subscribe(topic, (message) => put({ message }), options);
  subscription.on("gap", (gap) => put({ gap }));
  subscription.on("state", (state, error) => state === "closed" && error && put({ ended: error }));
  for (const event of ["join", "leave"]) {
    subscription.on(event, ({ info }) => inboxes.put(`${topic} members`, { [event]: info }));
  }
  return subscription;
}

async function publish({ client }, { topic, body, times = 1, key, one, echo, offset, error }) {
  for (let i = 0; i < times; i++) {
    const published = client.publish(topic, bodyOf(body, i), { key, one, echo });
    const position = await expectResult(published, error);
    if (position && offset !== undefined) expectSame(position.offset, offset + i);
  }
}

async function message({ inboxes }, { topic, body, times = 1, offset }) {
  for (let i = 0; i < times; i++) {
    const came = await inboxes.take(topic);
    if (!came.message) throw new Error(`got ${Object.keys(came)}, not a message`);
    if (offset !== undefined) expectSame(came.message.offset, offset + i);
    expectBody(came.message.data, body, i);
  }
}

async function gap({ inboxes }, { topic, missed, from }) {
  const { gap } = await inboxes.take(topic);
  expectSame(gap && [gap.missed ?? 0, gap.from], [missed, from]);
}

async function change({ inboxes }, { do: event, topic, body }) {
  const came = await inboxes.take(`${topic} members`);
  expectSame(came, { [event]: bodyOf(body) });
}

/** Waits until those are there who are to be. */
async function members({ subscriptions }, { topic, receive }) {
  const subscription = subscriptions.get(topic);
  const wanted = infosOf(receive.map((value) => ({ info: bodyOf(value) })));
  await new Promise((resolve) => {
    const look = (members) => infosOf(members) === wanted && resolve();
    subscription.on("members", look);
    look(subscription.members);
  });
}

async function present({ client }, { topic, receive = [], error }) {
  const presence = await expectResult(client.presence(topic), error);
  const wanted = receive.map((value) => ({ info: bodyOf(value) }));
  if (presence) expectSame(infosOf(presence.members), infosOf(wanted));
}

const infosOf = (members) =>
  members
    .map(({ info }) => JSON.stringify(info))
    .sort()
    .join();

async function history({ client }, step) {
  const { topic, after, before, limit, receive, from, offset, more = false, error } = step;
  const page = await expectResult(client.history(topic, { after, before, limit }), error);
  if (!page) return;
  expectSame([page.from, page.last, page.more], [from, offset, more]);
  const bodies = page.messages.map(({ data }) => data);
  expectSame(
    bodies,
    receive.map((value) => bodyOf(value)),
  );
}

/** What each of these steps does. */
export const topicActions = {
  subscribe,
  publish,
  message,
  gap,
  members,
  present,
  history,
  join: change,
  leave: change,
  unsubscribe: ({ subscriptions }, { topic }) => subscriptions.get(topic).unsubscribe(),
  async ended({ inboxes }, { topic, error }) {
    expectError((await inboxes.take(topic)).ended ?? {}, error);
  },
};
