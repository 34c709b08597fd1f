// Asks GraphQL over a WebSocket as graphql-ws does: a query, then a subscription to the pieces of a search, to its end.
// Arguments: a JSON object with `url`, `credentials`, and `operations`, a list of documents with their variables.
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'

const { url, credentials, operations } = JSON.parse(process.argv[2])
const client = createClient({ url, webSocketImpl: WebSocket, connectionParams: credentials, retryAttempts: 0 })
const told = []
for (const operation of operations) {
  const answers = []
  for await (const answer of client.iterate(operation)) answers.push(answer)
  told.push(answers)
}
await client.dispose()
console.log(JSON.stringify(told))
