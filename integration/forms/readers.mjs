// Reads forms as Node's servers do: with busboy, or with multer. In and out as in readers.py.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'

const require = createRequire(process.env.FORM_READERS + '/')
const busboy = require('busboy')
const multer = require('multer')

const letters = text => Buffer.from(text ?? '', 'utf8').toString('latin1')

const readers = {
  busboy: request => new Promise((resolve, reject) => {
    const parts = []
    const reader = busboy({ headers: request.headers })
    reader.on('field', (name, value) => parts.push([letters(name), letters(value)]))
    reader.on('file', (name, stream, info) => {
      const chunks = []
      stream.on('data', chunk => chunks.push(chunk))
      // Names of files are Latin-1 to busboy, so a letter is a byte already.
      stream.on('end', () => parts.push([letters(name), info.filename ?? '', Buffer.concat(chunks).toString('latin1')]))
    })
    reader.on('close', () => resolve(parts))
    reader.on('error', reject)
    request.pipe(reader)
  }),

  multer: request => new Promise((resolve, reject) => {
    multer().any()(request, {}, error => {
      if (error) return reject(error)
      const fields = Object.entries(request.body ?? {}).flatMap(([name, value]) =>
        Array.isArray(value) ? value.map(item => [name + '[]', item]) : [[name, value]])
      const texts = fields.map(([name, value]) => [letters(name), letters(String(value))])
      // It undoes what browsers do with quotes.
      const files = (request.files ?? []).map(file =>
        [letters(file.fieldname), file.originalname.replaceAll('"', '%22'), file.buffer.toString('latin1')])
      resolve([...texts, ...files])
    })
  })
}

const read = readers[process.argv[2]]
for await (const line of createInterface({ input: process.stdin })) {
  const form = JSON.parse(line)
  const body = Buffer.from(form.body, 'latin1')
  const request = Readable.from([body])
  request.headers = { 'content-type': form.content_type, 'content-length': String(body.length) }
  try {
    console.log(JSON.stringify(await read(request)))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }))
  }
}
