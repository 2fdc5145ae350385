// Send texts to a worker and print their labels: node label.mjs [BROKER [INPUT LABELS DEAD]].
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';

// kafkajs reads gzip. Start the worker with `--compression gzip`, or add a codec for its default, lz4, to kafkajs:
// https://kafka.js.org/docs/configuration#compression

const [broker = '127.0.0.1:9092', input = 'texts', labels = 'labels', dead = 'texts.dead'] = process.argv.slice(2);
const texts = ['My card was charged twice', 'The app crashes when I open it', ' '];

const kafka = new Kafka({ clientId: 'label-example', brokers: broker.split(','), logLevel: logLevel.ERROR });
const producer = kafka.producer();
// A group of its own reads all replies; it starts at the end of the topics.
const consumer = kafka.consumer({ groupId: `label-example-${randomUUID()}` });
await producer.connect();
await consumer.connect();
await consumer.subscribe({ topics: [labels, dead], fromBeginning: false });

const pending = new Map(texts.map((text) => [randomUUID(), text]));
const done = new Promise((resolve, reject) => {
  // kafkajs stops the consumer after an error that a restart does not cure, and reports it only in this event.
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) reject(payload.error);
  });
  consumer.run({
    eachMessage: async ({ topic, message }) => {
      const id = message.headers['labelstream-id']?.toString();
      const text = pending.get(id);
      if (text === undefined) return;
      pending.delete(id);
      if (topic === dead) {
        const reason = message.headers['labelstream-error-reason'].toString();
        console.log(`dead letter: ${reason}: ${message.headers['labelstream-error-message']}`);
      } else {
        const { label, score } = JSON.parse(message.value.toString());
        console.log(`${label} ${score.toFixed(4)} ${text}`);
      }
      if (pending.size === 0) resolve();
    },
  });
});
done.catch((error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
// The position at the end of the topics is fixed when the group has its partitions.
await new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
await new Promise((resolve) => consumer.on(consumer.events.FETCH, resolve));

await producer.send({
  topic: input,
  messages: [...pending].map(([id, text]) => ({
    value: JSON.stringify({ id, text }),
    headers: { 'labelstream-id': id },
  })),
});
await done;
await consumer.disconnect();
await producer.disconnect();
