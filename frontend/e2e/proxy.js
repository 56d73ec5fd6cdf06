import { EventEmitter, once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, createServer as createTCPServer } from 'node:net'

/**
 * A proxy with the faults of real networks. `mode` decides about WebSockets: `pass`, `refuse` (403)
 * or `ignore` (no answer). It emits `upgrade` and `poll`. `dropSockets` closes the WebSockets;
 * `killSilently` makes every open connection dead without a sign. `prefix` is removed from paths.
 */
export class Proxy extends EventEmitter {
  mode = 'pass'
  prefix = ''
  target
  #server = createServer((req, res) => this.#forward(req, res))
  #sockets = new Set()
  #tcpServer = createTCPServer((client) => this.#connect(client))
  #connections = new Set()

  async listen() {
    this.#server.on('upgrade', (req, socket, head) => this.#upgrade(req, socket, head))
    for (const server of [this.#server, this.#tcpServer]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
    this.url = `http://127.0.0.1:${this.#tcpServer.address().port}`
    return this
  }

  dropSockets() {
    for (const socket of this.#sockets) socket.destroy()
  }

  killSilently() {
    for (const [client, upstream] of this.#connections) {
      upstream.unpipe(client).removeAllListeners('close').destroy()
      client.unpipe(upstream).resume()
    }
  }

  close() {
    this.dropSockets()
    for (const [client] of this.#connections) client.destroy()
    this.#tcpServer.close()
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #connect(client) {
    const upstream = connect(this.#server.address().port, '127.0.0.1')
    const pair = [client, upstream]
    this.#connections.add(pair)
    for (const end of pair) {
      end.on('error', () => {}).on('close', () => {
        this.#connections.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
    client.pipe(upstream).pipe(client)
  }

  #forward(req, res) {
    if (req.url.includes('/poll?')) this.emit('poll')
    const [host, port] = this.target.split(':')
    const upstream = request({ host, port, path: req.url.slice(this.prefix.length), method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.rawHeaders)
      answer.pipe(res)
    })
    upstream.on('error', () => res.destroy())
    res.on('close', () => upstream.destroy())
    req.pipe(upstream)
  }

  #upgrade(req, socket, head) {
    this.#sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    this.emit('upgrade')
    if (this.mode === 'ignore') return
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
