// Package frontend holds what people see: the login page, the sandbox's phone page, the pages
// for a scan outside the mini-program and for errors, and the browser client that the login page
// is built on.
//
// It owns the files and their embedding, nothing else: routes, headers (among them the content
// security policy that these pages are written for) and the data of the templates are the api's.
// The files are plain HTML, CSS and ES modules; what is embedded is what is in the tree, without
// a build step.
package frontend
