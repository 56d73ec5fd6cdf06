// Package judges logs in through independent OpenID Connect and OAuth clients, against two
// nodes, a real Redis, a browser and a phone: `task test:oidc`. It is a module of its own,
// so that the hub does not depend on what it is judged by.
package judges
