/*
 * HTML (libxml2's parser) to readable text, as a stream of events: no tree is
 * built, so depth costs a counter and memory stays small.
 */
#include "config.h"

#include <libxml/HTMLparser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "src/extract/doc.h"

#define MAX_LISTS 32	/* nested lists whose items are numbered each on its own */

enum role { NOTHING, BLOCK, LINE, ITEM, LIST, ROW, CELL, PRE, HEADING, TITLE, BREAK, DROP };

static const struct element {	/* sorted by name */
	const char *name;
	enum role role;
} elements[] = {
	{ "address", BLOCK }, { "article", BLOCK }, { "aside", BLOCK }, { "audio", DROP },
	{ "blockquote", BLOCK }, { "body", BLOCK }, { "br", BREAK }, { "button", DROP },
	{ "canvas", DROP }, { "caption", BLOCK }, { "center", BLOCK }, { "datalist", DROP },
	{ "dd", LINE }, { "details", BLOCK }, { "div", BLOCK }, { "dl", BLOCK }, { "dt", LINE },
	{ "embed", DROP }, { "fieldset", BLOCK }, { "figcaption", BLOCK }, { "figure", BLOCK },
	{ "footer", BLOCK }, { "form", BLOCK }, { "h1", HEADING }, { "h2", HEADING }, { "h3", HEADING },
	{ "h4", HEADING }, { "h5", HEADING }, { "h6", HEADING }, { "header", BLOCK }, { "hr", BLOCK },
	{ "iframe", DROP }, { "li", ITEM }, { "listing", PRE }, { "main", BLOCK }, { "map", DROP },
	{ "nav", DROP }, { "noscript", DROP }, { "object", DROP }, { "ol", LIST }, { "p", BLOCK },
	{ "pre", PRE }, { "script", DROP }, { "section", BLOCK }, { "select", DROP }, { "style", DROP },
	{ "summary", BLOCK }, { "svg", DROP }, { "table", BLOCK }, { "td", CELL }, { "template", DROP },
	{ "textarea", DROP }, { "th", CELL }, { "title", TITLE }, { "tr", ROW }, { "ul", LIST },
	{ "video", DROP }, { "xmp", PRE },
};

struct html {
	struct doc *d;
	int rc;
	size_t dropped;		/* open elements, counted from one that is left out; 0: none */
	size_t pre;		/* open <pre> */
	bool in_title;
	struct buf title;
	size_t lists;		/* open lists, of which MAX_LISTS are remembered */
	int number[MAX_LISTS];	/* of the last item; -1: not numbered */
	bool cell;		/* the row has a cell already */
	bool part;		/* it lies within another document */
	htmlParserCtxtPtr ctxt;
};

static int by_name(const void *key, const void *e)
{
	return strcasecmp(key, ((const struct element *)e)->name);
}

static enum role role_of(const char *name)
{
	const struct element *e = bsearch(name, elements, sizeof(elements) / sizeof(elements[0]),
					  sizeof(elements[0]), by_name);

	return e ? e->role : NOTHING;
}

static void keep(struct html *h, int rc)
{
	if (rc && !h->rc) {
		h->rc = rc;
		xmlStopParser(h->ctxt);
	}
}

/* Hidden words are not the author's message to a reader; they may be one to a model. */
static bool hidden(const char *const *atts)
{
	for (; atts && atts[0]; atts += 2) {
		if (!strcasecmp(atts[0], "hidden"))
			return true;
		if (!strcasecmp(atts[0], "style") && atts[1]) {
			char style[256];
			size_t n = 0;

			for (const char *s = atts[1]; *s && n + 1 < sizeof(style); s++)
				if (!strchr(" \t\r\n", *s))
					style[n++] = *s;
			style[n] = 0;
			if (strcasestr(style, "display:none") || strcasestr(style, "visibility:hidden"))
				return true;
		}
	}
	return false;
}

/* What a page says of itself for browsers, crawlers and frames of other sites. */
static bool for_machines(const char *name)
{
	static const char *const begins[] = {
		"apple-", "color-scheme", "csrf-", "fb:", "format-detection", "generator", "google", "handheldfriendly",
		"mobile", "mobile-web-app-", "msapplication-", "next-head-count", "og:image", "og:url", "og:video",
		"referrer", "robots", "theme-color", "title", "twitter:", "viewport",
	};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (!strncasecmp(name, begins[i], strlen(begins[i])))
			return true;
	return strcasestr(name, "token") || strcasestr(name, "verif");
}

/* Names of one thing in several vocabularies (Dublin Core, Open Graph, Highwire). */
static const char *common_name(const char *name)
{
	static const char *const same[][2] = {
		{ "article:author", "author" }, { "citation_author", "author" }, { "dc.creator", "author" },
		{ "dcterms.creator", "author" }, { "article:published_time", "date" },
		{ "citation_publication_date", "date" }, { "dc.date", "date" }, { "dcterms.date", "date" },
		{ "dcterms.created", "date" }, { "article:modified_time", "updated" },
		{ "dcterms.modified", "updated" }, { "article:tag", "tags" }, { "dc.language", "lang" },
		{ "dcterms.language", "lang" }, { "language", "lang" }, { "og:description", "description" },
		{ "dc.description", "description" }, { "dcterms.description", "description" },
		{ "article:section", "section" }, { "og:site_name", "site" },
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (!strcasecmp(name, same[i][0]))
			return same[i][1];
	return name;
}

static const char *attribute(const char *const *atts, const char *name)
{
	for (; atts && atts[0]; atts += 2)
		if (!strcasecmp(atts[0], name))
			return atts[1];
	return NULL;
}

/* <html lang>, <meta name content>, <meta property content> */
static void metadata(struct html *h, const char *element, const char *const *atts)
{
	const char *name = "lang", *value = NULL;

	if (!strcasecmp(element, "html")) {
		value = attribute(atts, "lang");
	} else if (!strcasecmp(element, "meta")) {
		name = attribute(atts, "name");
		if (!name)
			name = attribute(atts, "property");
		value = attribute(atts, "content");
	}
	if (!name || !value || for_machines(name))
		return;
	name = common_name(name);
	keep(h, doc_about_list(h->d, name, value, strlen(value), strcasecmp(name, "keywords") ? "" : ",;"));
}

static void start_item(struct html *h)
{
	char marker[32] = "- ";
	size_t at = h->lists ? (h->lists < MAX_LISTS ? h->lists : MAX_LISTS) - 1 : 0;

	doc_line(h->d);
	if (h->lists && h->number[at] >= 0)
		snprintf(marker, sizeof(marker), "%d. ", ++h->number[at]);
	keep(h, doc_text(h->d, marker, strlen(marker)));
}

static void on_start(void *arg, const xmlChar *xname, const xmlChar **xatts)
{
	struct html *h = arg;
	const char *name = (const char *)xname;
	const char *const *atts = (const char *const *)(const void *)xatts;
	enum role role = role_of(name);

	if (h->rc)
		return;
	if (h->dropped || role == DROP || hidden(atts)) {
		h->dropped++;
		return;
	}
	if (!h->part)
		metadata(h, name, atts);
	switch (role) {
	case BLOCK:
		doc_para(h->d);
		break;
	case PRE:
		doc_para(h->d);
		h->pre++;
		break;
	case LINE:
	case BREAK:
		doc_line(h->d);
		break;
	case LIST:
		if (h->lists)
			doc_line(h->d);
		else
			doc_para(h->d);
		if (h->lists < MAX_LISTS)
			h->number[h->lists] = strcasecmp(name, "ol") ? -1 : 0;
		h->lists++;
		break;
	case ITEM:
		start_item(h);
		break;
	case ROW:
		doc_line(h->d);
		h->cell = false;
		break;
	case CELL:
		if (h->cell)
			keep(h, doc_text(h->d, " | ", 3));
		h->cell = true;
		break;
	case HEADING:
		doc_heading(h->d, name[1] - '0');
		break;
	case TITLE:
		h->in_title = true;
		break;
	case DROP:
	case NOTHING:
		break;
	}
}

static void on_end(void *arg, const xmlChar *xname)
{
	struct html *h = arg;
	const char *name = (const char *)xname;

	if (h->rc)
		return;
	if (h->dropped) {
		h->dropped--;
		return;
	}
	switch (role_of(name)) {
	case PRE:
		h->pre -= h->pre > 0;
		doc_para(h->d);
		break;
	case BLOCK:
		doc_para(h->d);
		break;
	case LIST:
		h->lists -= h->lists > 0;
		if (h->lists)
			doc_line(h->d);
		else
			doc_para(h->d);
		break;
	case LINE:
	case ITEM:
	case ROW:
		doc_line(h->d);
		break;
	case HEADING:
		keep(h, doc_heading_end(h->d));
		break;
	case TITLE:
		h->in_title = false;
		keep(h, doc_title(h->d, buf_str(&h->title), h->title.len));
		break;
	case CELL:
	case BREAK:
	case DROP:
	case NOTHING:
		break;
	}
}

static void on_text(void *arg, const xmlChar *s, int n)
{
	struct html *h = arg;
	const char *t = (const char *)s;

	if (h->rc || h->dropped || n <= 0)
		return;
	if (h->in_title) {
		/* A title beyond its ceiling is cut, not an error. */
		if (h->title.len < FRAME_MAX_TITLE)
			keep(h, buf_add(&h->title, t, (size_t)n));
	} else if (h->pre) {
		keep(h, doc_raw(h->d, t, (size_t)n, false));
	} else {
		keep(h, doc_text(h->d, t, (size_t)n));
	}
}

static void quiet(void *arg, const char *fmt, ...)
{
	(void)arg;
	(void)fmt;
}

static int parse(struct doc *d, const char *s, size_t n, bool part)
{
	struct html h = { .d = d, .part = part };
	xmlSAXHandler sax = {
		.startElement = on_start, .endElement = on_end, .characters = on_text,
		.ignorableWhitespace = on_text, .warning = quiet, .error = quiet, .fatalError = quiet,
	};
	struct buf clean = BUF_INIT;

	if (n > INT32_MAX)
		return err_set(RAG_ELIMIT, "more than 2 GiB of HTML");
	/* libxml2 takes a NUL for the end: a way to hide what follows. */
	if (memchr(s, 0, n)) {
		int rc = buf_add(&clean, s, n);

		if (rc)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (!clean.data[i])
				clean.data[i] = ' ';
		s = clean.data;
	}
	xmlSetGenericErrorFunc(NULL, quiet);
	h.ctxt = htmlNewParserCtxt();
	if (!h.ctxt)
		return err_set(RAG_ENOMEM, "out of memory");
	*h.ctxt->sax = sax;
	h.ctxt->userData = &h;
	htmlCtxtReadMemory(h.ctxt, s, (int)n, NULL, "UTF-8",
			   HTML_PARSE_RECOVER | HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC |
			   (part ? HTML_PARSE_NOIMPLIED : 0));
	if (h.ctxt->lastError.code == XML_ERR_NO_MEMORY && !h.rc)
		h.rc = err_set(RAG_ENOMEM, "out of memory");
	htmlFreeParserCtxt(h.ctxt);
	buf_release(&h.title);
	buf_release(&clean);
	return h.rc;
}

int extract_html(struct doc *d, const char *s, size_t n)
{
	return parse(d, s, n, false);
}

int extract_html_part(struct doc *d, const char *s, size_t n)
{
	return parse(d, s, n, true);
}
