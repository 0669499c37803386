/* Markdown (CommonMark, by cmark) to readable text: markers go, structure stays. */
#include "config.h"

#include <cmark.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "src/extract/doc.h"

static void *md_calloc(size_t n, size_t size)
{
	void *p = mem_calloc(n ? n : 1, size ? size : 1);

	if (!p)
		__builtin_abort();	/* cmark can't go on; main's handler names the reason */
	return p;
}

static void *md_realloc(void *p, size_t n)
{
	p = mem_realloc(p, n ? n : 1, 1);
	if (!p)
		__builtin_abort();
	return p;
}

/* "|---|:--:|": the line between a table's header and its rows. */
static bool table_rule(const char *s)
{
	return strstr(s, "--") && s[strspn(s, "|:- ")] == 0;
}

static int text(struct doc *d, const char *s)
{
	return s ? doc_text(d, s, strlen(s)) : RAG_OK;
}

/* Where blocks of tight lists end only a line ends. */
static void block_break(struct doc *d, cmark_node *n)
{
	cmark_node *item = cmark_node_parent(n);
	cmark_node *list = item ? cmark_node_parent(item) : NULL;

	if (item && list && cmark_node_get_type(item) == CMARK_NODE_ITEM && cmark_node_get_list_tight(list))
		doc_line(d);
	else
		doc_para(d);
}

static int item(struct doc *d, cmark_node *n, size_t number)
{
	cmark_node *list = cmark_node_parent(n);
	char marker[32] = "- ";

	if (cmark_node_get_list_tight(list))
		doc_line(d);
	else
		doc_para(d);
	if (cmark_node_get_list_type(list) == CMARK_ORDERED_LIST)
		snprintf(marker, sizeof(marker), "%zu. ", number);
	return doc_text(d, marker, strlen(marker));
}

static int leaf(struct doc *d, cmark_node *n)
{
	const char *s = cmark_node_get_literal(n);
	int rc = RAG_OK;

	switch (cmark_node_get_type(n)) {
	case CMARK_NODE_TEXT:
		return s && table_rule(s) ? RAG_OK : text(d, s);
	case CMARK_NODE_CODE:
		return text(d, s);
	case CMARK_NODE_SOFTBREAK:
	case CMARK_NODE_LINEBREAK:
		doc_line(d);
		return RAG_OK;
	case CMARK_NODE_HTML_INLINE:
		if (s && !strncasecmp(s, "<br", 3))
			doc_line(d);
		return RAG_OK;
	case CMARK_NODE_CODE_BLOCK:
		block_break(d, n);
		if (s)
			rc = doc_raw(d, s, strlen(s), false);
		doc_para(d);
		return rc;
	case CMARK_NODE_HTML_BLOCK:
		doc_para(d);
		if (s)
			rc = extract_html_part(d, s, strlen(s));
		doc_para(d);
		return rc;
	default:
		doc_para(d);
		return RAG_OK;
	}
}

int extract_markdown(struct doc *d, const char *s, size_t n)
{
	static cmark_mem heap = { md_calloc, md_realloc, mem_free };
	cmark_parser *parser;
	cmark_node *root, *last_list = NULL;
	cmark_iter *it;
	cmark_event_type ev;
	size_t skip, number = 0;
	int rc = extract_front(&skip, d, s, n);

	if (rc)
		return rc;
	parser = cmark_parser_new_with_mem(CMARK_OPT_DEFAULT, &heap);
	cmark_parser_feed(parser, s + skip, n - skip);
	root = cmark_parser_finish(parser);
	it = cmark_iter_new(root);
	while (!rc && (ev = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
		cmark_node *node = cmark_iter_get_node(it);
		bool enter = ev == CMARK_EVENT_ENTER;

		switch (cmark_node_get_type(node)) {
		case CMARK_NODE_HEADING:
			if (enter)
				doc_heading(d, cmark_node_get_heading_level(node));
			else
				rc = doc_heading_end(d);
			break;
		case CMARK_NODE_ITEM:
			if (!enter)
				break;
			/* cmark keeps no number an item: counted on, afresh in another list.  Behind
			 * a nested list the number is that of the items before. */
			if (cmark_node_parent(node) != last_list) {
				cmark_node *i = node;

				last_list = cmark_node_parent(node);
				number = (size_t)cmark_node_get_list_start(last_list);
				while (cmark_node_get_list_type(last_list) == CMARK_ORDERED_LIST &&
				       (i = cmark_node_previous(i)) != NULL)
					number++;
			} else {
				number++;
			}
			rc = item(d, node, number);
			break;
		case CMARK_NODE_PARAGRAPH:
			/* The first block of an item stands beside its marker. */
			if (!enter || cmark_node_get_type(cmark_node_parent(node)) != CMARK_NODE_ITEM ||
			    cmark_node_previous(node))
				block_break(d, node);
			break;
		case CMARK_NODE_LIST:
			block_break(d, node);
			break;
		case CMARK_NODE_DOCUMENT:
		case CMARK_NODE_EMPH:
		case CMARK_NODE_STRONG:
		case CMARK_NODE_LINK:
		case CMARK_NODE_IMAGE:
			break;
		case CMARK_NODE_BLOCK_QUOTE:
			doc_para(d);
			break;
		default:
			rc = leaf(d, node);
		}
	}
	cmark_iter_free(it);
	cmark_node_free(root);
	cmark_parser_free(parser);
	return rc;
}
