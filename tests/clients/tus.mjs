// Uploads a file with tus-js-client in small pieces, is stopped in the middle, and goes on where it was. Arguments: a
// JSON object with `file`, `headers`, and `endpoint` (creation by tus) or `uploadUrl` (begun with `upload/init`).
import { createReadStream, statSync } from 'node:fs'
import { Upload } from 'tus-js-client'

const { file, headers, endpoint, uploadUrl } = JSON.parse(process.argv[2])

function send(at, stopAfter) {
  return new Promise((resolve, reject) => {
    const offsets = []
    const upload = new Upload(createReadStream(file), {
      ...at,
      headers,
      chunkSize: 64 * 1024,
      uploadSize: statSync(file).size,
      retryDelays: null,
      metadata: { filename: 'films/roof é.mp4', filetype: 'video/mp4', title: 'Solar install' },
      onChunkComplete(chunk, accepted) {
        offsets.push(accepted)
        if (stopAfter !== undefined && offsets.length >= stopAfter) {
          upload.abort().then(() => resolve({ url: upload.url, offsets }))
        }
      },
      onSuccess: () => resolve({ url: upload.url, offsets }),
      onError: reject,
    })
    upload.start()
  })
}

const stopped = await send(uploadUrl ? { uploadUrl } : { endpoint }, 2)
const finished = await send({ uploadUrl: stopped.url })
console.log(JSON.stringify({ stopped, finished }))
