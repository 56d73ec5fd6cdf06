// Package gate holds what every request has to pass before its endpoint runs: the active
// configuration, the caller's address, origins, the kill switch, limits, and the calls to
// providers. It owns no route; package api mounts the endpoints of packages login and
// weblogin behind it.
package gate
