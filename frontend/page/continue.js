// Posts the answer to the site (OAuth 2.0 Form Post Response Mode). Without scripts the user presses the button.
document.getElementById('continue').submit()
