// Reads a search as an EventSource does, comes back with Last-Event-ID after each event has closed the connection,
// and stops when the server says that there is no more. Arguments: a JSON object with `url`, `headers`, `body`.
import { EventSource } from 'eventsource'

const { url, headers, body } = JSON.parse(process.argv[2])
const events = []
const asked = []
const source = new EventSource(url, {
  fetch: async (input, init) => {
    asked.push(init.headers['Last-Event-ID'] ?? null)
    const answer = await fetch(input, {
      ...init,
      method: 'POST',
      headers: { ...init.headers, ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
    return answer
  },
})
for (const name of ['result', 'facets', 'done']) {
  source.addEventListener(name, (event) =>
    events.push({ name, id: event.lastEventId, data: JSON.parse(event.data) }))
}
source.addEventListener('error', (event) => {
  if (source.readyState === EventSource.CLOSED) {
    console.log(JSON.stringify({ events, asked, code: event.code ?? null }))
  }
})
