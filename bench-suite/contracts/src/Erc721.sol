// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A non-fungible token as ERC-721 describes it, without receiver callbacks.
abstract contract Erc721 {
    mapping(uint256 id => address) internal owners;
    mapping(address holder => uint256) public balanceOf;
    mapping(uint256 id => address) public getApproved;
    mapping(address holder => mapping(address operator => bool)) public isApprovedForAll;

    event Transfer(address indexed from, address indexed to, uint256 indexed id);
    event Approval(address indexed holder, address indexed approved, uint256 indexed id);
    event ApprovalForAll(address indexed holder, address indexed operator, bool approved);

    error NotMinted(uint256 id);
    error AlreadyMinted(uint256 id);
    error NotAllowed(address caller, uint256 id);
    error NotTheOwner(address from, uint256 id);
    error NoRecipient();

    function ownerOf(uint256 id) public view returns (address owner) {
        owner = owners[id];
        if (owner == address(0)) revert NotMinted(id);
    }

    function approve(address approved, uint256 id) external {
        address owner = ownerOf(id);
        if (msg.sender != owner && !isApprovedForAll[owner][msg.sender]) {
            revert NotAllowed(msg.sender, id);
        }
        getApproved[id] = approved;
        emit Approval(owner, approved, id);
    }

    function setApprovalForAll(address operator, bool approved) external {
        isApprovedForAll[msg.sender][operator] = approved;
        emit ApprovalForAll(msg.sender, operator, approved);
    }

    function transferFrom(address from, address to, uint256 id) external {
        address owner = ownerOf(id);
        if (owner != from) revert NotTheOwner(from, id);
        if (to == address(0)) revert NoRecipient();
        bool allowed = msg.sender == owner || isApprovedForAll[owner][msg.sender]
            || getApproved[id] == msg.sender;
        if (!allowed) revert NotAllowed(msg.sender, id);
        delete getApproved[id];
        unchecked {
            --balanceOf[from];
            ++balanceOf[to];
        }
        owners[id] = to;
        emit Transfer(from, to, id);
    }

    function _create(address to, uint256 id) internal {
        if (owners[id] != address(0)) revert AlreadyMinted(id);
        owners[id] = to;
        unchecked {
            ++balanceOf[to];
        }
        emit Transfer(address(0), to, id);
    }
}
