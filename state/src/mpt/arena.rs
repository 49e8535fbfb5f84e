//! Nodes of one trie in flat tables, addressed by 32-bit ids.

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::decode::HashedBranch;
use super::node::{Branch, Class, Extension, Head, Kind, Leaf, NodeId, Reference};

/// A table whose places are used again.
#[derive(Debug, Clone)]
struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    fn add(&mut self, item: T) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.items[index as usize] = item;
                index as usize
            }
            None => {
                self.items.push(item);
                self.items.len() - 1
            }
        }
    }

    /// Gives a place up. What lies there stays until the place is used again.
    fn remove(&mut self, index: usize) {
        self.free.push(index as u32);
    }

    const fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }
}

/// The nodes of one trie, or of a part of one.
#[derive(Debug, Clone)]
pub(super) struct Arena<V> {
    leaves: Slab<Leaf<V>>,
    extensions: Slab<Extension>,
    twos: Slab<Branch<2>>,
    fours: Slab<Branch<4>>,
    eights: Slab<Branch<8>>,
    sixteens: Slab<Branch<16>>,
    prefixes: Slab<Nibbles>,
}

impl<V> Default for Arena<V> {
    fn default() -> Self {
        Self {
            leaves: Slab::default(),
            extensions: Slab::default(),
            twos: Slab::default(),
            fours: Slab::default(),
            eights: Slab::default(),
            sixteens: Slab::default(),
            prefixes: Slab::default(),
        }
    }
}

/// A branch of any class.
#[derive(Debug, Clone, Copy)]
pub(super) struct BranchRef<'a> {
    pub(super) head: &'a Head,
    pub(super) children: &'a [NodeId],
    pub(super) references: &'a [B256],
}

struct BranchMut<'a> {
    head: &'a mut Head,
    children: &'a mut [NodeId],
    references: &'a mut [B256],
}

fn view<const N: usize>(slab: &Slab<Branch<N>>, index: usize) -> BranchRef<'_> {
    let Branch { head, children, references } = &slab.items[index];
    BranchRef { head, children, references }
}

fn view_mut<const N: usize>(slab: &mut Slab<Branch<N>>, index: usize) -> BranchMut<'_> {
    let Branch { head, children, references } = &mut slab.items[index];
    BranchMut { head, children, references }
}

impl BranchMut<'_> {
    /// Puts a child between the others. There is room for it.
    fn open(&mut self, nibble: u8, child: NodeId) {
        let (rank, count) = (self.head.rank(nibble), self.head.count());
        self.children.copy_within(rank..count, rank + 1);
        self.references.copy_within(rank..count, rank + 1);
        self.children[rank] = child;
        self.head.mask |= 1 << nibble;
        self.head.inline &= !(1 << nibble);
    }

    fn close(&mut self, nibble: u8) {
        let (rank, count) = (self.head.rank(nibble), self.head.count());
        self.children.copy_within(rank + 1..count, rank);
        self.references.copy_within(rank + 1..count, rank);
        let others = !(1 << nibble);
        self.head.mask &= others;
        self.head.dirty &= others;
        self.head.inline &= others;
        self.head.unsaved &= others;
    }
}

impl<V> Arena<V> {
    /// Nodes that are known, of all kinds.
    pub(super) const fn len(&self) -> usize {
        let branches = self.twos.len() + self.fours.len() + self.eights.len() + self.sixteens.len();
        self.leaves.len() + self.extensions.len() + branches
    }

    pub(super) fn add_leaf(&mut self, key: B256, value: V) -> NodeId {
        NodeId::leaf(self.leaves.add(Leaf { key, value }))
    }

    pub(super) fn leaf(&self, id: NodeId) -> &Leaf<V> {
        &self.leaves.items[id.index()]
    }

    pub(super) fn leaf_mut(&mut self, id: NodeId) -> &mut Leaf<V> {
        &mut self.leaves.items[id.index()]
    }

    pub(super) fn add_extension(&mut self, path: Nibbles, child: B256) -> NodeId {
        NodeId::extension(self.extensions.add(Extension { path, child }))
    }

    pub(super) fn extension(&self, id: NodeId) -> &Extension {
        &self.extensions.items[id.index()]
    }

    /// A branch without children, with room for so many.
    pub(super) fn add_branch(&mut self, prefix: Nibbles, children: usize) -> NodeId {
        let prefix = self.add_prefix(prefix);
        self.place(Class::holding(children), Head { prefix, ..Head::default() })
    }

    /// A branch whose children are all hidden.
    pub(super) fn add_hidden_children(&mut self, branch: &HashedBranch) -> NodeId {
        let head = Head { mask: branch.mask, ..Head::default() };
        let count = head.count();
        let id = self.place(Class::holding(count), head);
        let placed = self.branch_mut(id);
        placed.children[..count].fill(NodeId::HIDDEN);
        placed.references[..count].copy_from_slice(&branch.hashes[..count]);
        id
    }

    fn place(&mut self, class: Class, head: Head) -> NodeId {
        let index = match class {
            Class::Two => self.twos.add(Branch::new(head)),
            Class::Four => self.fours.add(Branch::new(head)),
            Class::Eight => self.eights.add(Branch::new(head)),
            Class::Sixteen => self.sixteens.add(Branch::new(head)),
        };
        NodeId::branch(class, index)
    }

    /// A branch; panics if the id is none of a branch, which would be our bug.
    #[inline]
    pub(super) fn branch(&self, id: NodeId) -> BranchRef<'_> {
        let Kind::Branch(class) = id.kind() else { panic!("{id:?} is no branch") };
        match class {
            Class::Two => view(&self.twos, id.index()),
            Class::Four => view(&self.fours, id.index()),
            Class::Eight => view(&self.eights, id.index()),
            Class::Sixteen => view(&self.sixteens, id.index()),
        }
    }

    #[inline]
    fn branch_mut(&mut self, id: NodeId) -> BranchMut<'_> {
        let Kind::Branch(class) = id.kind() else { panic!("{id:?} is no branch") };
        match class {
            Class::Two => view_mut(&mut self.twos, id.index()),
            Class::Four => view_mut(&mut self.fours, id.index()),
            Class::Eight => view_mut(&mut self.eights, id.index()),
            Class::Sixteen => view_mut(&mut self.sixteens, id.index()),
        }
    }

    /// Gives up a node's own place; its children stay.
    pub(super) fn remove(&mut self, id: NodeId) {
        match id.kind() {
            Kind::Empty | Kind::Hidden => {}
            Kind::Leaf => self.leaves.remove(id.index()),
            Kind::Extension => self.extensions.remove(id.index()),
            Kind::Branch(class) => {
                let prefix = self.branch(id).head.prefix;
                self.drop_prefix(prefix);
                self.vacate(class, id.index());
            }
        }
    }

    fn vacate(&mut self, class: Class, index: usize) {
        match class {
            Class::Two => self.twos.remove(index),
            Class::Four => self.fours.remove(index),
            Class::Eight => self.eights.remove(index),
            Class::Sixteen => self.sixteens.remove(index),
        }
    }

    /// A branch's child, [`NodeId::EMPTY`] if there is none.
    #[inline]
    pub(super) fn child(&self, branch: NodeId, nibble: u8) -> NodeId {
        let branch = self.branch(branch);
        if branch.head.has(nibble) {
            branch.children[branch.head.rank(nibble)]
        } else {
            NodeId::EMPTY
        }
    }

    /// What the branch holds as reference of one of its children.
    pub(super) fn reference(&self, branch: NodeId, nibble: u8) -> Reference {
        let branch = self.branch(branch);
        let bytes = branch.references[branch.head.rank(nibble)];
        Reference::from_parts(bytes, branch.head.inline & (1 << nibble) != 0)
    }

    /// Sets the reference of a child, which is then up to date.
    pub(super) fn set_reference(&mut self, branch: NodeId, nibble: u8, reference: Reference) {
        let branch = self.branch_mut(branch);
        let bit = 1 << nibble;
        branch.references[branch.head.rank(nibble)] = *reference.bytes();
        branch.head.dirty &= !bit;
        branch.head.inline = match reference.is_inline() {
            true => branch.head.inline | bit,
            false => branch.head.inline & !bit,
        };
    }

    /// Puts a child in its place, or takes it out if it is [`NodeId::EMPTY`], and returns the
    /// branch, which may have had to move to make room.
    pub(super) fn put(&mut self, id: NodeId, nibble: u8, child: NodeId, dirty: bool) -> NodeId {
        let mut id = id;
        let head = self.branch(id).head;
        match (head.has(nibble), child == NodeId::EMPTY) {
            (false, true) => return id,
            (true, true) => {
                self.branch_mut(id).close(nibble);
                return id;
            }
            (true, false) => {
                let branch = self.branch_mut(id);
                branch.children[branch.head.rank(nibble)] = child;
            }
            (false, false) => {
                id = self.with_room(id);
                self.branch_mut(id).open(nibble, child);
            }
        }
        if dirty {
            let head = self.branch_mut(id).head;
            head.dirty |= 1 << nibble;
            head.unsaved |= 1 << nibble;
        }
        id
    }

    /// The children that were not taken to be stored; from now on they are.
    pub(super) fn take_unsaved(&mut self, branch: NodeId) -> u16 {
        std::mem::take(&mut self.branch_mut(branch).head.unsaved)
    }

    /// Marks children of a branch as not taken to be stored.
    pub(super) fn set_unsaved(&mut self, branch: NodeId, children: u16) {
        self.branch_mut(branch).head.unsaved = children;
    }

    /// The branch itself if it has room for one more child, or a larger one in its stead.
    fn with_room(&mut self, id: NodeId) -> NodeId {
        let BranchRef { head, children, references } = self.branch(id);
        let (head, count) = (*head, head.count());
        if count < children.len() {
            return id;
        }
        let mut held = ([NodeId::EMPTY; 16], [B256::ZERO; 16]);
        held.0[..count].copy_from_slice(children);
        held.1[..count].copy_from_slice(references);
        let Kind::Branch(class) = id.kind() else { panic!("{id:?} is no branch") };
        self.vacate(class, id.index());
        let id = self.place(Class::holding(count + 1), head);
        let larger = self.branch_mut(id);
        larger.children[..count].copy_from_slice(&held.0[..count]);
        larger.references[..count].copy_from_slice(&held.1[..count]);
        id
    }

    /// Whether a path leads to a branch.
    pub(super) fn has_path(&self, branch: NodeId) -> bool {
        self.branch(branch).head.prefix != 0
    }

    /// The path that leads to a branch, or from an extension to its child.
    pub(super) fn path(&self, id: NodeId) -> Nibbles {
        match id.kind() {
            Kind::Extension => self.extension(id).path,
            Kind::Branch(_) => match self.branch(id).head.prefix.checked_sub(1) {
                Some(index) => self.prefixes.items[index as usize],
                None => Nibbles::new(),
            },
            Kind::Empty | Kind::Hidden | Kind::Leaf => Nibbles::new(),
        }
    }

    /// Gives a branch or an extension another path.
    pub(super) fn set_path(&mut self, id: NodeId, path: Nibbles) {
        if id.kind() == Kind::Extension {
            self.extensions.items[id.index()].path = path;
            return;
        }
        let old = self.branch(id).head.prefix;
        self.drop_prefix(old);
        let prefix = self.add_prefix(path);
        self.branch_mut(id).head.prefix = prefix;
    }

    fn add_prefix(&mut self, path: Nibbles) -> u32 {
        if path.is_empty() { 0 } else { self.prefixes.add(path) as u32 + 1 }
    }

    fn drop_prefix(&mut self, prefix: u32) {
        if let Some(index) = prefix.checked_sub(1) {
            self.prefixes.remove(index as usize);
        }
    }
}
