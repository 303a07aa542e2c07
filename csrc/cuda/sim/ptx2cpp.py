#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Translates the PTX that nvcc emits into C++ for the host simulator, so that the tests run the
compiler's output instead of the source. usage: ptx2cpp.py in.ptx > out.cpp
Entries keep their mangled names and C++ calling convention; an instruction this file does not
know is an error, never a guess."""
import re, sys

T = {'pred': 'bool', 'b8': 'uint8_t', 'u8': 'uint8_t', 's8': 'int8_t', 'b16': 'uint16_t', 'u16': 'uint16_t',
     's16': 'int16_t', 'b32': 'uint32_t', 'u32': 'uint32_t', 's32': 'int32_t', 'b64': 'uint64_t',
     'u64': 'uint64_t', 's64': 'int64_t', 'f32': 'float', 'f64': 'double'}
SIZE = {'b8': 1, 'u8': 1, 's8': 1, 'b16': 2, 'u16': 2, 's16': 2}
SIZE.update({t: 4 for t in ('b32', 'u32', 's32', 'f32')}, **{t: 8 for t in ('b64', 'u64', 's64', 'f64')})
SPECIAL = {f'%{n}.{d}': f'{v}.{d}' for n, v in (('tid', 'threadIdx'), ('ntid', 'blockDim'), ('ctaid', 'blockIdx'),
           ('nctaid', 'gridDim')) for d in 'xyz'}
SPECIAL['%laneid'] = '(::cusim::current->lin & 31)'
SPECIAL['%warpid'] = '(::cusim::current->lin >> 5)'
CMP = {'eq': '==', 'ne': '!=', 'lt': '<', 'le': '<=', 'gt': '>', 'ge': '>=', 'lo': '<', 'ls': '<=', 'hi': '>', 'hs': '>='}
BIN = {'add': '+', 'sub': '-', 'and': '&', 'or': '|', 'xor': '^'}

INTEGERS = {'uint16_t': 2, 'int16_t': 2, 'uint32_t': 4, 'int32_t': 4, 'uint64_t': 8, 'int64_t': 8}
# Instructions whose result has the type that they name.
PLAIN = {'add', 'sub', 'mul', 'fma', 'div', 'min', 'max', 'neg', 'abs', 'and', 'or', 'xor', 'shl', 'shr', 'selp', 'mov'}

class Fn:
    def __init__(s, name): s.name, s.params, s.regs, s.locals, s.code, s.maxntid = name, [], [], [], [], None

def reg(s): return 'v_' + s[1:].replace('%', '')
def ident(s): return re.sub(r'\W', '_', s)

class Translator:
    def __init__(s, text):
        s.shared, s.offset, s.files, s.loc = {}, 0, {}, ('"ptx"', 0)
        s.fns, s.params, s.letters = [], set(), {}
        text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
        s.files = dict(re.findall(r'^\s*\.file\s+(\d+) "([^"]*)"', text, re.M))
        s.parse(text)

    def err(s, what): raise SystemExit(f'ptx2cpp: {what}')

    def add_shared(s, line):
        m = re.match(r'(?:\.extern |\.visible |\.weak )*\.shared \.align (\d+) \.b8 (\S+?)\[(\d*)\]', line) or s.err(line)
        align, name, size = int(m[1]), m[2], m[3]
        if not size: s.shared[name] = 'kDynamicShared'; return
        s.offset = (s.offset + align - 1) // align * align
        s.shared[name] = str(s.offset); s.offset += int(size)

    def parse(s, text):
        fn, depth, pending = None, 0, ''
        for raw in text.split('\n'):
            line = raw.split('//')[0].strip()
            if not line: continue
            if re.match(r'\.(version|target|address_size|file|section|pragma|minnctapersm|maxnreg|reqntid)', line): continue
            if depth == 0:
                if re.match(r'(\.\w+ )*\.shared', line): s.add_shared(line); continue
                if '.entry' in line: fn = Fn(re.search(r'\.entry (\w+)', line)[1]); s.fns.append(fn); continue
                if line.startswith('.param'):
                    m = re.match(r'\.param (?:\.align (\d+) )?\.(\w+) (?:\.ptr\S*(?: \.\w+)*(?: \d+)? )?(\w+)(?:\[(\d+)\])?', line)
                    fn.params.append((m[3], m[2], int(m[1] or 0), int(m[4] or 0))); s.params.add(m[3]); continue
                m = re.match(r'\.maxntid (\d+), (\d+), (\d+)', line)
                if m: fn.maxntid = int(m[1]) * int(m[2]) * int(m[3]); continue
                if line == '{' and fn: depth = 1; continue
                if line in (')', '('): continue
                if re.match(r'\.(extern|visible|weak)? ?\.?(global|const)', line): s.err('module variable: ' + line)
                if line.startswith('.func') or '.func' in line: s.err('function: ' + line)
                depth0 = line
                continue
            if line == '{': fn.code.append('{'); depth += 1; continue   # a scope with registers of its own
            if line == '}':
                depth -= 1
                if depth: fn.code.append('}')
                else: fn = None
                continue
            if line.startswith('.reg'):
                m = re.match(r'\.reg \.(\w+)\s+%(\w+)(?:<(\d+)>)?;', line)
                s.letters[m[2]] = T[m[1]]
                if depth == 1: fn.regs.append((m[1], m[2], m[3])); continue
                names = [f'v_{m[2]}{i}' for i in range(1, int(m[3]))] if m[3] else [f'v_{m[2]}']
                fn.code += [f'  [[maybe_unused]] {T[m[1]]} {x} = {{}};' for x in names]; continue
            if line.startswith('.local'):
                m = re.match(r'\.local \.align (\d+) \.b8\s+(\w+)\[(\d+)\];', line); fn.locals.append((m[2], m[1], m[3])); continue
            if line.startswith('.shared'): s.add_shared(line); continue
            m = re.match(r'\.loc\s+(\d+) (\d+)', line)
            if m: s.loc = ('"' + s.files.get(m[1], '?') + '"', m[2]); continue
            m = re.match(r'(\$?\w+):$', line)
            if m: fn.code.append(ident(m[1]) + ':;'); continue
            line = line.strip('{} ') if line.startswith('{ ') else line   # an asm block in its own braces
            pending += ' ' + line
            if not pending.rstrip('} ').endswith(';'): continue
            for ins in pending.strip().rstrip('} ').split(';'):
                if ins.strip(): fn.code.append(s.ins(fn, ins.strip()))
            pending = ''

    def type_of(s, a):
        """the C++ type of a register, by the letters that its function declares"""
        return s.letters.get(re.match(r'%([a-z]+)', a)[1])

    # operands -----------------------------------------------------------------------------
    def val(s, a, t):
        """operand a read as PTX type t"""
        a = a.strip(); c = T[t]
        if a in SPECIAL: return f'({c}){SPECIAL[a]}'
        if a == 'WARP_SZ': return '32'
        if a.startswith('%'):
            # Most reads are of the register's own type: a plain name compiles faster than a cast.
            own = s.type_of(a)
            if own == c: return reg(a)
            if own in INTEGERS and INTEGERS.get(own) == INTEGERS.get(c): return f'({c}){reg(a)}'
            return f'as<{c}>({reg(a)})'
        if re.match(r'0f[0-9A-Fa-f]{8}$', a): return f'as<{c}>(0x{a[2:]}u)'
        if re.match(r'0d[0-9A-Fa-f]{16}$', a): return f'as<{c}>((uint64_t)0x{a[2:]}ull)'
        if re.match(r'-?(0x[0-9A-Fa-f]+|\d+)U?$', a): return f'({c}){a.rstrip("U")}ll' if a != '-9223372036854775808' else f'({c})INT64_MIN'
        if a in s.shared: return f'({c})({s.shared[a]})'
        if a in s.params: return f'({c})(uintptr_t)&p_{a}'
        return f'({c})(uintptr_t)l_{a}'          # .local
    def addr(s, fn, a, space, size):
        a = a.strip()[1:-1]
        m = re.match(r'([^+]+?)(?:\+(-?\d+))?$', a); base, off = m[1].strip(), m[2] or '0'
        if space == 'param': return f'((char *)&p_{base} + {off})' if base in s.params else f'((char *)as<uint64_t>({reg(base)}) + {off})'
        if base.startswith('%'):
            b = f'as<uint32_t>({reg(base)})' if space == 'shared' and any(x[1] == re.sub(r'\d+$', '', base[1:]) and SIZE.get(x[0]) == 4 for x in fn.regs) else f'as<uint64_t>({reg(base)})'
        elif base in s.shared: b = s.shared[base]
        else: b = f'(uintptr_t)l_{base}'
        if space == 'shared': return f'shared_at((uint32_t)({b}) + {off}, {size})'
        return f'(char *)((uint64_t)({b}) + ({off}ll))'

    def ins(s, fn, text):
        guard = ''
        m = re.match(r'@(!?)(%\w+)\s+(.*)', text, re.S)
        if m: guard, text = f'if ({m[1]}{reg(m[2])}) ', m[3]
        op, _, rest = text.partition(' ') if ' ' in text else text.partition('\t')
        op, rest = op.strip(), rest.strip()
        args = [x.strip() for x in re.findall(r'\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*', rest)]
        return f'  {guard}{{ {s.one(fn, op, args, text)} }}'

    def one(s, fn, op, a, text):
        p = op.split('.'); o, mods, t = p[0], p[1:], p[-1]
        unknown = lambda: s.err(f'{fn.name}: unknown instruction: {text}')
        def D(e, i=0):
            own = s.type_of(a[i])
            if own == T.get(t) and (own in INTEGERS or own == 'float') and o in PLAIN: return f'{reg(a[i])} = {e};'
            return f'set({reg(a[i])}, {e});'
        V = lambda i, ty=None: s.val(a[i], ty or t)
        c = T.get(t)
        here = f'{s.loc[0]}, {s.loc[1]}'
        if o in ('ret', 'exit'): return 'return;'
        if o == 'bra': return f'goto {ident(a[0])};'
        if o in ('membar', 'fence'): return '__threadfence();'
        if op == 'mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32':
            q = [[x.strip() for x in y.strip('{} ').split(',')] for y in a]
            L = lambda i, ty: ', '.join(s.val(x, ty) for x in q[i])
            return (f'const uint32_t ma[4] = {{{L(1, "b32")}}}, mb[2] = {{{L(2, "b32")}}}; const float mc[4] = {{{L(3, "f32")}}}; float md[4]; '
                    '::cusim::mma_m16n8k16_bf16(md, ma, mb, mc); ' + ' '.join(f'set({reg(x)}, md[{i}]);' for i, x in enumerate(q[0])))
        if o == 'mov':
            if a[0].startswith('{'):
                parts = a[0].strip('{} ').split(','); ty = {('b32', 2): 'b16', ('b64', 2): 'b32', ('b64', 4): 'b16'}[t, len(parts)]; w = SIZE[ty] * 8
                return ' '.join(f'set({reg(x.strip())}, ({T[ty]})({V(1)} >> {w * i}));' for i, x in enumerate(parts) if x.strip() != '_')
            if len(a) > 1 and a[1].startswith('{'):
                parts = a[1].strip('{} ').split(','); ty = {('b32', 2): 'b16', ('b64', 2): 'b32', ('b64', 4): 'b16'}[t, len(parts)]; w = SIZE[ty] * 8
                return D('(' + ' | '.join(f'({T[t]})({T[t]})({s.val(x, ty)}) << {w * i}' for i, x in enumerate(parts)) + ')')
            return D(V(1))
        if o in ('ld', 'st', 'ldu'):
            space = next((m for m in mods if m in ('global', 'shared', 'param', 'local', 'const')), 'generic')
            vec = next((int(m[1]) for m in mods if m in ('v2', 'v4')), 1); n = SIZE[t]
            if space == 'const': unknown()
            mem, data = (a[1], a[0]) if o != 'st' else (a[0], a[1])
            ad = s.addr(fn, mem, space, n * vec)
            regs = [x.strip() for x in data.strip('{} ').split(',')] if vec > 1 else [data]
            chk = f'aligned(q, {n * vec}, {here}); ' if space != 'param' else ''
            if o == 'st': return f'char *q = {ad}; {chk}' + ' '.join(f'put<{c}>(q + {i * n}, {s.val(x, t)});' for i, x in enumerate(regs))
            return f'char *q = {ad}; {chk}' + ' '.join(f'widen({reg(x)}, get<{c}>(q + {i * n}));' for i, x in enumerate(regs))
        if o == 'cvta':
            if 'shared' in mods: return D(V(1, 'u64') + (' - (uint64_t)shared_base()' if 'to' in mods else ' + (uint64_t)shared_base()'))
            return D(V(1, 'u64'))
        if o in ('bar', 'barrier') and 'red' in mods:
            k = {'popc': 'kCount', 'and': 'kAnd', 'or': 'kOr'}[mods[mods.index('red') + 1]]
            if len(a) != 3 or a[1] != '0': unknown()
            return D(f'({c})::cusim::block_op(::cusim::{k}, {s.val(a[2], "pred")}, "bar.red", {here})')
        if o in ('bar', 'barrier') and 'warp' not in mods:
            if len(a) > 1 or a[0] != '0' or 'sync' not in mods: unknown()
            return f'::cusim::block_op(::cusim::kSyncThreads, 0, "bar.sync", {here});'
        if o == 'bar': return f'::cusim::warp_op(::cusim::kSyncWarp, {V(0, "u32")}, 0, 0, 32, "bar.warp.sync", {here});'
        if o == 'shfl':
            k = {'bfly': 'kShflXor', 'up': 'kShflUp', 'down': 'kShflDown', 'idx': 'kShflIdx'}[mods[1]]
            d = a[0].split('|'); set_p = f' set({reg(d[1])}, true);' if len(d) > 1 and d[1] != '_' else ''
            return f'set({reg(d[0])}, (uint32_t)::cusim::warp_op(::cusim::{k}, {V(4, "u32")}, {V(1, "u32")}, {V(2, "s32")}, 32 - (({V(3, "u32")} >> 8) & 31), "shfl.{mods[1]}", {here}));{set_p}'
        if o == 'vote':
            k = {'ballot': 'kBallot', 'any': 'kAny', 'all': 'kAll'}[mods[1]]
            return D(f'({T[t]})::cusim::warp_op(::cusim::{k}, {V(2, "u32")}, {s.val(a[1], "pred")}, 0, 32, "vote", {here})')
        if o in ('atom', 'red'):
            space = next((m for m in mods if m in ('global', 'shared')), 'generic')
            k = next((m for m in mods if m in ('add', 'min', 'max', 'exch', 'cas')), None) or unknown()
            i = 0 if o == 'red' else 1
            ad = s.addr(fn, a[i], space, SIZE[t])
            f = {'add': 'atomicAdd', 'min': 'atomicMin', 'max': 'atomicMax', 'exch': 'atomicExch', 'cas': 'atomicCAS'}[k]
            e = f'{f}(({c} *)({ad}), ' + ', '.join(V(j) for j in range(i + 1, len(a))) + ')'
            return f'{e};' if o == 'red' else D(e)
        if o == 'setp':
            b = CMP.get(mods[0]); f = t[0] == 'f'; x, y = V(1), V(2)
            e = f'({x} {b} {y})' if b else {'equ': f'!({x} < {y} || {x} > {y})', 'neu': f'!({x} == {y})', 'ltu': f'!({x} >= {y})', 'leu': f'!({x} > {y})', 'gtu': f'!({x} <= {y})', 'geu': f'!({x} < {y})', 'num': f'({x} == {x} && {y} == {y})', 'nan': f'({x} != {x} || {y} != {y})'}.get(mods[0]) or unknown()
            if f and mods[0] == 'ne': e = f'({x} < {y} || {x} > {y})'
            if len(mods) > 2 and mods[1] in ('and', 'or', 'xor'): e = f'({e} {BIN[mods[1]]} {s.val(a[3], "pred")})'
            d = a[0].split('|')
            return f'bool e = {e}; set({reg(d[0])}, e);' + (f' set({reg(d[1])}, !e);' if len(d) > 1 else '')
        if o == 'selp': return D(f'{s.val(a[3], "pred")} ? {V(1)} : {V(2)}')
        if o == 'cvt': return s.cvt(mods, a, unknown)
        if t == 'pred' and o in BIN: return D(f'(bool)({V(1)} {BIN[o]} {V(2)})')
        if o == 'not': return D(f'!{V(1)}' if t == 'pred' else f'({c})~{V(1)}')
        if t in ('f32', 'f64'):
            S = 'f' if t == 'f32' else ''
            if o in ('add', 'sub', 'mul'): return D(f'{V(1)} {dict(BIN, mul="*")[o]} {V(2)}')
            if o == 'div': return D(f'{V(1)} / {V(2)}')
            if o in ('fma', 'mad'): return D(f'fma{S}({V(1)}, {V(2)}, {V(3)})')
            if o in ('min', 'max'): return D(f'f{o}{S}({V(1)}, {V(2)})')
            one = {'neg': '-{0}', 'abs': 'fabs{S}({0})', 'sqrt': 'sqrt{S}({0})', 'rcp': '1 / {0}', 'rsqrt': '1 / sqrt{S}({0})',
                   'ex2': 'exp2{S}({0})', 'lg2': 'log2{S}({0})', 'sin': 'sin{S}({0})', 'cos': 'cos{S}({0})', 'tanh': 'tanh{S}({0})'}.get(o) or unknown()
            return D(one.format(V(1), S=S))
        if o in BIN: return D(f'({c})({V(1)} {BIN[o]} {V(2)})')
        if o in ('mul', 'mad'):
            kind = mods[0]; w = {'u16': 'u32', 's16': 's32', 'u32': 'u64', 's32': 's64'}.get(t)
            if kind == 'wide': e, ty = f'({T[w]}){V(1)} * ({T[w]}){V(2)}', w
            elif kind == 'lo': e, ty = f'({c})((uint64_t){V(1)} * (uint64_t){V(2)})', t
            elif kind == 'hi': e, ty = f'({c})((__int128){V(1)} * {V(2)} >> {SIZE[t] * 8})', t
            else: unknown()
            return D(e if o == 'mul' else f'({T[ty]})({e} + {s.val(a[3], ty)})')
        if o in ('div', 'rem'): return D(f'({c})({V(1)} {"/" if o == "div" else "%"} {V(2)})')
        if o in ('min', 'max'): return D(f'{V(1)} {"<" if o == "min" else ">"} {V(2)} ? {V(1)} : {V(2)}')
        if o in ('shl', 'shr'):
            w = SIZE[t] * 8; n = V(2, 'u32')
            if o == 'shr' and t[0] == 's': return D(f'({c})({V(1)} >> ({n} >= {w} ? {w - 1} : {n}))')
            return D(f'{n} >= {w} ? ({c})0 : ({c})({V(1)} {"<<" if o == "shl" else ">>"} {n})')
        if o == 'neg': return D(f'({c})-{V(1)}')
        if o == 'abs': return D(f'{V(1)} < 0 ? ({c})-{V(1)} : {V(1)}')
        if o == 'popc': return D(f'(uint32_t)__builtin_popcountll({V(1)})')
        if op == 'brev.b32': return D(f'(uint32_t)__builtin_bitreverse32({V(1)})')
        if op == 'clz.b32': return D(f'({V(1)} ? (uint32_t)__builtin_clz({V(1)}) : 32u)')
        if op == 'bfind.shiftamt.u32': return D(f'({V(1)} ? (uint32_t)__builtin_clz({V(1)}) : ~0u)')
        if o == 'activemask': return unknown()
        unknown()

    def cvt(s, mods, a, unknown):
        d, f = mods[-2], mods[-1]; x = a[1]
        rnd = next((m for m in mods if m in ('rni', 'rzi', 'rmi', 'rpi', 'rn', 'rz', 'rm', 'rp')), None)
        D = lambda e: f'widen({reg(a[0])}, {e});'
        if 'sat' in mods or 'relu' in mods: unknown()
        if d == 'bf16' and f == 'f32' and rnd == 'rn': return f'set({reg(a[0])}, __float2bfloat16_rn({s.val(x, "f32")}).x);'
        if d == 'bf16x2' and f == 'f32' and rnd == 'rn':
            return f'set({reg(a[0])}, (uint32_t)__float2bfloat16_rn({s.val(a[1], "f32")}).x << 16 | __float2bfloat16_rn({s.val(a[2], "f32")}).x);'
        if d not in T or f not in T: unknown()
        if f[0] == 'f' and d[0] != 'f':
            r = {'rni': 'nearbyint', 'rzi': 'trunc', 'rmi': 'floor', 'rpi': 'ceil'}[rnd]
            return D(f'to_int<{T[d]}>({r}({s.val(x, f)}))')
        if f[0] == 'f' and rnd and rnd.endswith('i'):
            r = {'rni': 'nearbyint', 'rzi': 'trunc', 'rmi': 'floor', 'rpi': 'ceil'}[rnd]
            return D(f'({T[d]}){r}({s.val(x, f)})')
        src = f'({T[f]})(as_low<{T[f]}>({reg(x)}))' if x.startswith('%') and x not in SPECIAL else s.val(x, f)
        return D(f'({T[d]}){src}')

    def emit(s):
        out = [PRELUDE.replace('STATIC_BYTES', str(max(s.offset, 1)))]
        for n, fn in enumerate(s.fns):
            ps = []
            for name, ty, align, size in fn.params:
                if size:
                    if size <= 16: s.err(f'{fn.name}: a struct parameter of {size} bytes is passed in registers; make it larger')
                    out.append(f'struct alignas({align}) S{n}_{name[-8:]} {{ uint8_t b[{size}]; }};'); ps.append(f'S{n}_{name[-8:]} p_{name}')
                else: ps.append(f'{T[ty]} p_{name}')
            out.append(f'extern "C" __attribute__((visibility("hidden"))) void {fn.name}({", ".join(ps)}) {{')
            for ty, name, count in fn.regs:
                names = [f'v_{name}{i}' for i in range(1, int(count))] if count else [f'v_{name}']
                if names: out.append(f'  [[maybe_unused]] {T[ty]} ' + ', '.join(x + ' = {}' for x in names) + ';')
            for name, align, size in fn.locals: out.append(f'  alignas({align}) char l_{name}[{size}];')
            if fn.maxntid: out.append(f'  check_threads({fn.maxntid});')
            out += fn.code + ['}']
        return '\n'.join(out)

PRELUDE = r'''// generated by ptx2cpp.py
#include <cuda_bf16.h>
#include <stdio.h>
#include <stdlib.h>
namespace {
constexpr uint32_t kDynamicShared = 0x100000;
alignas(128) __shared__ char static_shared[STATIC_BYTES];
[[maybe_unused]] char *shared_base() { return static_shared; }
[[maybe_unused]] char *shared_at(uint32_t a, unsigned n) {
  if (a >= kDynamicShared && (uint64_t)a - kDynamicShared + n <= ::cusim::now.smem) return ::cusim::now.dyn + (a - kDynamicShared);
  if ((uint64_t)a + n <= sizeof static_shared) return static_shared + a;
  ::cusim::device_fail("shared address 0x%x + %u is outside", a, n);
}
template <class T, class F> inline T as(F v) { static_assert(sizeof(T) == sizeof(F)); T t; memcpy(&t, &v, sizeof t); return t; }
template <class T, class F> inline T as_low(F v) { static_assert(sizeof(T) <= sizeof(F)); T t; memcpy(&t, &v, sizeof t); return t; }
template <class D, class V> inline void set(D &d, V v) { static_assert(sizeof(D) == sizeof(V)); memcpy(&d, &v, sizeof d); }
template <class D, class V> inline void widen(D &d, V v) { if constexpr (sizeof(D) == sizeof(V)) memcpy(&d, &v, sizeof d); else { static_assert(sizeof(V) < sizeof(D)); d = (D)v; } }
template <class T> inline T get(const char *p) { T t; memcpy(&t, p, sizeof t); return t; }
template <class T> inline void put(char *p, T v) { memcpy(p, &v, sizeof v); }
template <class T, class F> inline T to_int(F v) { if (v != v) return 0; if (v >= (F)std::numeric_limits<T>::max()) return std::numeric_limits<T>::max(); if (v <= (F)std::numeric_limits<T>::min()) return std::numeric_limits<T>::min(); return (T)v; }
inline void aligned(const void *p, unsigned n, const char *f, int l) { if ((uintptr_t)p % n) ::cusim::device_fail("misaligned %u-byte access at %s:%d", n, f, l); }
[[maybe_unused]] void check_threads(unsigned n) { if (blockDim.x * blockDim.y * blockDim.z > n) ::cusim::device_fail("more threads than __launch_bounds__ %u", n); }
}  // namespace
#pragma clang diagnostic ignored "-Wunused-label"
'''
if __name__ == '__main__': print(Translator(open(sys.argv[1]).read()).emit())
