// Package frontend embeds the user interface: the login page, the sandbox's phone page, the pages for
// a scan outside the mini-program and for errors, the API documentation, and the browser client that
// the login page uses. On the admin address package main serves the operators' page, admin.
//
// Package api serves the files. It owns the routes, the headers (such as the pages' content security
// policy) and the data of the templates. The sources are plain HTML, CSS and ES modules. go generate
// bundles the modules and style sheets that pages load into dist, which is in the repository.
package frontend
