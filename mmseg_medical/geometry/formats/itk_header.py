"""Headers of NRRD, MHD and MHA, read before ITK does.

ITK trusts them: with a wrong count of numbers or an absurd one it corrupts its memory and the process dies. What stands
here is the part of both formats that images use; a header that says anything else is refused with the line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error, inflated_size

_MOST_BYTES = 1 << 16
_MOST_CHANNELS = 1 << 12
_META_BYTES = dict.fromkeys(('CHAR', 'UCHAR'), 1) | dict.fromkeys(('SHORT', 'USHORT'), 2)
_META_BYTES |= dict.fromkeys(('INT', 'UINT', 'FLOAT'), 4) | dict.fromkeys(('LONG_LONG', 'ULONG_LONG', 'DOUBLE'), 8)
_META_BYTES |= dict.fromkeys(('LONG', 'ULONG'), 4)  # at least
# numbers of each key: power of the number of axes
_META_NUMBERS = dict.fromkeys(('ElementSpacing', 'ElementSize', 'Offset', 'Position', 'Origin', 'CenterOfRotation'), 1)
_META_NUMBERS |= dict.fromkeys(('TransformMatrix', 'Orientation', 'Rotation'), 2)
_NRRD_BYTES = dict.fromkeys(('signed char', 'int8', 'int8_t', 'uchar', 'unsigned char', 'uint8', 'uint8_t'), 1)
_NRRD_BYTES |= dict.fromkeys(('short', 'short int', 'signed short', 'signed short int', 'int16', 'int16_t'), 2)
_NRRD_BYTES |= dict.fromkeys(('ushort', 'unsigned short', 'unsigned short int', 'uint16', 'uint16_t'), 2)
_NRRD_BYTES |= dict.fromkeys(('int', 'signed int', 'int32', 'int32_t', 'uint', 'unsigned int', 'uint32', 'uint32_t'), 4)
_NRRD_BYTES |= dict.fromkeys(('longlong', 'long long', 'long long int', 'signed long long', 'int64', 'int64_t'), 8)
_NRRD_BYTES |= dict.fromkeys(('ulonglong', 'unsigned long long', 'unsigned long long int', 'uint64', 'uint64_t'), 8)
_NRRD_BYTES |= {'float': 4, 'double': 8}
_TEXT, _PACKED = ('ascii', 'text', 'txt', 'hex'), ('gzip', 'gz', 'bzip2', 'bz2')
_META_LINE = r'(?P<key>[^=]+?)\s*=\s*(?P<value>.*)'
_NRRD_LINE = r'(?P<key>[\w -]+): *(?P<value>[^=].*)|[^:]+:=.*'  # the other form: whatever a program wants to note
_NRRD_MILLIMETRES = {'mm', 'millimeter', 'millimeters', 'millimetre', 'millimetres', '', '???'}
_VECTOR = r'none|\([^()]*\)'


@dataclass(frozen=True)
class _Header:
    """Fields of a header; keys as written."""

    path: Path
    fields: dict[str, str]
    length: int

    def wrong(self, key: str, expected: str) -> ValueError:
        found = f'{key} {self.fields[key]!r}' if key in self.fields else f'none in its header ({key})'
        return file_error(self.path, expected=expected, found=found, remedy=COPY_AGAIN)

    def numbers(self, key: str, count: int) -> list[float]:
        try:
            values = [float(word) for word in self.fields.get(key, '').split()]
        except ValueError:
            values = []
        if len(values) != count or not all(map(math.isfinite, values)):
            raise self.wrong(key, f'{count} numbers')
        return values

    def integers(self, key: str, count: int, most: int) -> tuple[int, ...]:
        values = self.fields.get(key, '').split()
        if len(values) != count or not all(re.fullmatch(r'\d{1,10}', value) for value in values):
            raise self.wrong(key, f'{count} positive integers')
        if not all(1 <= int(value) <= most for value in values):
            raise self.wrong(key, f'integers in 1..{most}')
        return tuple(map(int, values))


def check_header(path: Path) -> None:
    """Check the header of an image file and what it claims against the size of the data.

    Raises:
        ValueError: Something in it is not what images have, the data file is missing, or too short.
    """
    with path.open('rb') as file:
        start = file.read(_MOST_BYTES)
    if path.suffix.lower() == '.nrrd':
        _check_nrrd(path, start)
    else:
        _check_meta(path, start)


def _check_meta(path: Path, start: bytes) -> None:
    header = _parse(path, start, rb'(?ms)\A.*?^ElementDataFile[ \t]*=[^\n]*(?:\n|\Z)', _META_LINE)
    (axes,) = header.integers('NDims', 1, 4)
    if axes < 2:
        raise header.wrong('NDims', 'two to four axes')
    shape = header.integers('DimSize', axes, (1 << 31) - 1)
    for key, power in _META_NUMBERS.items():
        if key in header.fields:
            header.numbers(key, axes**power)
    channels: tuple[int, ...] = ()
    if 'ElementNumberOfChannels' in header.fields:
        channels = header.integers('ElementNumberOfChannels', 1, _MOST_CHANNELS)
    for key in ('CompressedDataSize', 'HeaderSize'):
        if key in header.fields and not re.fullmatch(r'-?\d{1,15}', header.fields[key]):
            raise header.wrong(key, 'an integer')
    kind = header.fields.get('ElementType', '').removeprefix('MET_').removesuffix('_ARRAY')
    if kind not in _META_BYTES:
        raise header.wrong('ElementType', 'a known type of voxels')
    if header.fields.get('BinaryData', 'True').lower() != 'true':
        raise header.wrong('BinaryData', 'binary data')
    compressed = header.fields.get('CompressedData', 'False').lower() == 'true'
    stored = _stored(header, 'ElementDataFile')
    check_claim(path, shape + channels, _META_BYTES[kind], stored, compressed)
    _check_meta_length(header, math.prod(shape + channels) * _META_BYTES[kind], stored, compressed, kind)


def _check_meta_length(header: _Header, needed: int, stored: int, compressed: bool, kind: str) -> None:
    """Refuse data that are not what the header says: ITK reads the first part of longer ones, and noise of others."""
    skipped = int(header.fields.get('HeaderSize', 0))
    if kind in ('LONG', 'ULONG') or skipped < 0:  # of no size that is known; whatever stands before the last voxels
        return
    name = header.fields['ElementDataFile']
    local = name.upper() == 'LOCAL'
    found, words = stored - skipped, f'{stored - skipped}'
    if compressed:
        data = header.path if local else header.path.parent / name
        found = inflated_size(data, (header.length if local else 0) + skipped, needed)
        words = f'more than {needed}' if found > needed else f'{found} that can be unpacked'
    if found != needed:
        form = 'compressed' if compressed else 'not compressed'
        raise file_error(
            header.path,
            expected=f'{needed} bytes of voxels as its header says ({form}, ElementType '
            f'{header.fields["ElementType"]}, DimSize {header.fields["DimSize"]})',
            found=words,
            remedy=f'{COPY_AGAIN} If the data are whole, correct ElementType, DimSize or CompressedData in the header.',
        )


def _check_nrrd(path: Path, start: bytes) -> None:
    header = _parse(path, start, rb'(?s)\ANRRD000[1-5]\r?\n.*?\n\r?\n|\ANRRD000[1-5]\r?\n.*', _NRRD_LINE)
    (axes,) = header.integers('dimension', 1, 4)
    if axes < 2:
        raise header.wrong('dimension', 'two to four axes')
    shape = header.integers('sizes', axes, (1 << 31) - 1)
    kind, encoding = header.fields.get('type', ''), header.fields.get('encoding', '').lower()
    if kind not in _NRRD_BYTES:
        raise header.wrong('type', 'a known type of voxels')
    if encoding not in ('raw', *_TEXT, *_PACKED):
        raise header.wrong('encoding', 'raw, text, gzip or bzip2')
    if 'spacings' in header.fields and len(header.fields['spacings'].split()) != axes:
        raise header.wrong('spacings', f'{axes} numbers')
    units = set(re.findall(r'"([^"]*)"', header.fields.get('space units', '')))
    if units - _NRRD_MILLIMETRES:
        raise header.wrong('space units', 'millimetres')
    if 'space directions' in header.fields:
        vectors = re.findall(_VECTOR, header.fields['space directions'])
        lengths = {vector.count(',') for vector in vectors if vector != 'none'}
        if len(vectors) != axes or len(lengths) != 1:
            raise header.wrong('space directions', f'{axes} vectors of one length')
    name = next((key for key in ('data file', 'datafile') if key in header.fields), None)
    stored = path.stat().st_size - header.length if name is None else _stored(header, name)
    # of text at least one character a number
    check_claim(path, shape, 1 if encoding in _TEXT else _NRRD_BYTES[kind], stored, encoding in _PACKED)


def _parse(path: Path, start: bytes, whole: bytes, line: str) -> _Header:
    found = re.match(whole, start)
    fields: dict[str, str] = {}
    if found is None:
        raise file_error(path, expected='an image header', found='bytes of something else', remedy=COPY_AGAIN)
    for text in found[0].decode(errors='replace').splitlines():
        text = text.strip()
        if not text or text.startswith(('#', 'NRRD000')):
            continue
        entry = re.fullmatch(line, text)
        if entry is None or not text.replace('\t', ' ').isprintable() or entry['key'] in fields:
            raise file_error(
                path, expected='lines of keys and values, each once', found=repr(text[:80]), remedy=COPY_AGAIN
            )
        if entry['key'] is not None:
            fields[entry['key']] = entry['value']
    return _Header(path, fields, len(found[0]))


def _stored(header: _Header, key: str) -> int:
    """Bytes of the data, which lie behind the header or in a file of their own."""
    name = header.fields[key]
    if name.upper() == 'LOCAL':
        return header.path.stat().st_size - header.length
    if name.upper().startswith('LIST') or '%' in name:
        raise file_error(header.path, expected='voxels in one file', found=f'a list of files ({name})')
    data = header.path.parent / name
    if not data.is_file():
        raise file_error(header.path, expected=f'its data file {name}', found='none of this name', remedy=COPY_AGAIN)
    return data.stat().st_size
