#include "config.h"
#include "tests/tap.h"
#include "tests/tiny.h"

#include "base/mem.h"
#include "generator/template.h"
#include "model/gguf.h"
#include "model/tok.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "template-t.XXXXXX";

static struct tok *tiny_tok(void)
{
	static const char *const words[] = { "one" };
	struct tiny t = { NULL, words, 1, -1, 64 };
	struct gguf *g = NULL;
	struct tok *tok = NULL;
	int fd = mkstemp(path);

	if (fd >= 0)
		close(fd);
	ok(fd >= 0 && tiny_write(path, &t) && !gguf_open(&g, path) && !tok_from_gguf(&tok, g),
	   "a small tokenizer opens");
	gguf_close(g);
	return tok;
}

static int find(const struct chat_format **f, const struct tok *tok, const char *s)
{
	*f = NULL;
	return template_find(f, s, strlen(s), tok, "the-model");
}

static void test_known(const struct tok *tok)
{
	const struct chat_format *f;
	struct buf b = BUF_INIT;

	is_int(find(&f, tok, TINY_CHATML), RAG_OK, "SmolLM2's template is known");
	is_str(f ? f->name : NULL, "smollm2", "by its name");
	ok(f && strstr(f->system, "SmolLM"), "with its own system message");
	for (const char *p = TINY_CHATML; *p; p++)
		buf_adds(&b, *p == '\n' ? "\r\n" : (char[]){ *p, 0 });
	buf_adds(&b, "\r\n  \n");
	is_int(find(&f, tok, buf_str(&b)), RAG_OK, "line ends and blanks behind it say nothing");
	buf_release(&b);
}

static void test_unknown(const struct tok *tok)
{
	char changed[] = TINY_CHATML;
	const struct chat_format *f;

	changed[sizeof(changed) / 2] ^= 1;
	is_int(find(&f, tok, changed), RAG_EUNSUP, "one changed byte makes it another");
	is_str(err_msg(), "unknown chat template of 'the-model'", "refused by name");
	is_int(find(&f, tok, " " TINY_CHATML), RAG_EUNSUP, "so does a blank in front");
	is_int(find(&f, tok, ""), RAG_EUNSUP, "and an empty one");
	is_int(find(&f, tok, "{{ bos_token }}<start_of_turn>user"), RAG_EUNSUP, "and gemma's");
	is_int(template_find(&f, NULL, 0, tok, "the-model"), RAG_EUNSUP, "none is no format");
	is_str(err_msg(), "no chat template in 'the-model': it only goes on from a raw prompt", "and said so");
	ok(!f, "nothing was given out");
}

/* The format needs its control tokens: a WordPiece vocabulary has none. */
static void test_tokens(void)
{
	const struct chat_format *f;
	char dir[] = "template-t.XXXXXX", file[64];
	struct tok *tok = NULL;
	FILE *out;

	ok(mkdtemp(dir) != NULL, "a directory");
	snprintf(file, sizeof(file), "%s/vocab.txt", dir);
	out = fopen(file, "w");
	fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n", out);
	fclose(out);
	is_int(tok_open_dir(&tok, dir), RAG_OK, "a WordPiece tokenizer");
	is_int(tok ? find(&f, tok, TINY_CHATML) : 0, RAG_EFORMAT, "lacks the control tokens");
	is_str(err_msg(), "'the-model' lacks the control token '<|im_start|>'", "by name");
	tok_close(tok);
	unlink(file);
	rmdir(dir);
}

int main(void)
{
	struct tok *tok = tiny_tok();

	if (tok) {
		test_known(tok);
		test_unknown(tok);
	}
	test_tokens();
	tok_close(tok);
	unlink(path);
	return tap_done();
}
