import { EventEmitter, once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, createServer as createLink } from 'node:net'

/**
 * A proxy as networks have them. `mode` says what becomes of a WebSocket: `pass`, `refuse` (403)
 * or `hole` (no answer ever). Emits `upgrade` and `poll`; `drop` cuts the sockets that passed;
 * `darken` makes every connection that there is dead without a sign. What is asked for under
 * `prefix` goes on without it.
 */
export class Proxy extends EventEmitter {
  mode = 'pass'
  prefix = ''
  target
  #server = createServer((req, res) => this.#forward(req, res))
  #sockets = new Set()
  #link = createLink((client) => this.#join(client))
  #links = new Set()

  async listen() {
    this.#server.on('upgrade', (req, socket, head) => this.#upgrade(req, socket, head))
    for (const server of [this.#server, this.#link]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
    this.url = `http://127.0.0.1:${this.#link.address().port}`
    return this
  }

  drop() {
    for (const socket of this.#sockets) socket.destroy()
  }

  darken() {
    for (const [client, inner] of this.#links) {
      inner.unpipe(client).removeAllListeners('close').destroy()
      client.unpipe(inner).resume()
    }
  }

  close() {
    this.drop()
    for (const [client] of this.#links) client.destroy()
    this.#link.close()
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #join(client) {
    const inner = connect(this.#server.address().port, '127.0.0.1')
    const pair = [client, inner]
    this.#links.add(pair)
    for (const end of pair) {
      end.on('error', () => {}).on('close', () => {
        this.#links.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
    client.pipe(inner).pipe(client)
  }

  #forward(req, res) {
    if (req.url.includes('/poll?')) this.emit('poll')
    const [host, port] = this.target.split(':')
    const on = request({ host, port, path: req.url.slice(this.prefix.length), method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.rawHeaders)
      answer.pipe(res)
    })
    on.on('error', () => res.destroy())
    res.on('close', () => on.destroy())
    req.pipe(on)
  }

  #upgrade(req, socket, head) {
    this.#sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    this.emit('upgrade')
    if (this.mode === 'hole') return
    if (this.mode === 'refuse') return socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    const [host, port] = this.target.split(':')
    const hub = connect(port, host)
    hub.on('error', () => socket.destroy())
    hub.write(`${req.method} ${req.url.slice(this.prefix.length)} HTTP/1.1\r\n`)
    for (let i = 0; i < req.rawHeaders.length; i += 2) hub.write(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}\r\n`)
    hub.write('\r\n')
    hub.write(head)
    socket.pipe(hub).pipe(socket)
    socket.on('close', () => hub.destroy())
  }
}
